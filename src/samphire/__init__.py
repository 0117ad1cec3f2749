"""Samphire: run the Segment Anything Model, adapt it to your own images, and understand it.

    >>> import samphire
    >>> engine = samphire.load("vit_t")                                  # doctest: +SKIP
    >>> masks = samphire.segment(engine, "photo.jpg", points=[(520, 375)])  # doctest: +SKIP

Names are imported when they are first used, so that ``import samphire`` is quick and PyTorch is
loaded only where a model runs in it.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samphire.embedding import ImageEmbedding as ImageEmbedding
    from samphire.engines.load import adapt as adapt
    from samphire.engines.load import load as load
    from samphire.errors import SamphireError as SamphireError
    from samphire.formats import Picture as Picture
    from samphire.formats import load_masks as load_masks
    from samphire.formats import save_masks as save_masks
    from samphire.formats.embedding import load_embedding as load_embedding
    from samphire.formats.embedding import save_embedding as save_embedding
    from samphire.formats.embedding_cache import EmbeddingCache as EmbeddingCache
    from samphire.images.draw import draw as draw
    from samphire.masks import Decoded as Decoded
    from samphire.masks import Masks as Masks
    from samphire.predict.embed import embed as embed
    from samphire.predict.embed import embed_many as embed_many
    from samphire.predict.everything import segment_everything as segment_everything
    from samphire.predict.everything_settings import EverythingSettings as EverythingSettings
    from samphire.predict.prompted import decode as decode
    from samphire.predict.prompted import segment as segment
    from samphire.predict.semantic import classify as classify
    from samphire.prompts import Prompts as Prompts

_HOMES = {
    "Decoded": "samphire.masks",
    "EmbeddingCache": "samphire.formats.embedding_cache",
    "EverythingSettings": "samphire.predict.everything_settings",
    "ImageEmbedding": "samphire.embedding",
    "Masks": "samphire.masks",
    "Picture": "samphire.formats",
    "Prompts": "samphire.prompts",
    "SamphireError": "samphire.errors",
    "adapt": "samphire.engines.load",
    "classify": "samphire.predict.semantic",
    "decode": "samphire.predict.prompted",
    "draw": "samphire.images.draw",
    "embed": "samphire.predict.embed",
    "embed_many": "samphire.predict.embed",
    "load": "samphire.engines.load",
    "load_embedding": "samphire.formats.embedding",
    "load_masks": "samphire.formats",
    "save_embedding": "samphire.formats.embedding",
    "save_masks": "samphire.formats",
    "segment": "samphire.predict.prompted",
    "segment_everything": "samphire.predict.everything",
}

__all__ = [
    "Decoded",
    "EmbeddingCache",
    "EverythingSettings",
    "ImageEmbedding",
    "Masks",
    "Picture",
    "Prompts",
    "SamphireError",
    "__version__",
    "adapt",
    "classify",
    "decode",
    "draw",
    "embed",
    "embed_many",
    "load",
    "load_embedding",
    "load_masks",
    "save_embedding",
    "save_masks",
    "segment",
    "segment_everything",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = metadata.version("samphire")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'samphire' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
