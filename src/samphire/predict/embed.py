"""A picture -> its embedding: the slow part, done once an image.

With a cache it is done once ever: an embedding whose key is there is taken, and the encoder is
not run.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from samphire.arrays import ByteArray
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.engines.base import Engine
from samphire.errors import ImageError
from samphire.images.preprocessing import preprocessing
from samphire.images.read import (
    DEFAULT_MAX_PIXELS,
    ImageLike,
    image_name,
    pixels_id,
    read_image,
)

logger = logging.getLogger(__name__)

# Embeddings that embed_many holds back at most while a batch fills, in batches.
HELD_BACK = 4


class EmbeddingStore(Protocol):
    """Where embeddings are kept by their keys; ``formats/embedding_cache.py`` is one, on disk."""

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """The embedding with this key, or None."""
        ...

    def put(self, embedding: ImageEmbedding) -> None:
        """Keep an embedding."""
        ...


def embed(
    engine: Engine,
    image: ImageLike,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    page: int = 0,
    window: tuple[float, float] | None = None,
    cache: EmbeddingStore | None = None,
) -> ImageEmbedding:
    """Run the image encoder on one picture.

    Args:
        engine: from ``samphire.load``.
        image: path, bytes of a file, Pillow image, or array (H, W) or (H, W, 3).
        max_pixels: refuse larger pictures, before they are decoded.
        page: of a file with several, from 0.
        window: intensities of a deep picture that become black and white; None: those that the
            engine's adapter was tuned in, else the rule of ``images/read.py``.
        cache: looked into first, by the upright RGB pixels and the encoder's weights, and filled,
            by an engine that computes in float32.

    Returns:
        The embedding, for any number of prompts; it knows the picture's size and its maker.

    Raises:
        ImageError: the picture cannot be read.

    Source: Kirillov et al. 2023, section 3 and appendix A, "Image encoder".
    """
    rgb = read_image(image, max_pixels, page=page, window=window, usual_window=engine.info.window)
    (embedding,) = _encoded(engine, [_looked_up(engine, rgb, image_name(image), cache)], cache)
    return embedding


def embed_many(
    engine: Engine,
    images: Iterable[ImageLike],
    *,
    batch_size: int = 1,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    page: int = 0,
    window: tuple[float, float] | None = None,
    cache: EmbeddingStore | None = None,
) -> Iterator[ImageEmbedding]:
    """Embed pictures one after the other, as they are asked for.

    Args:
        engine: from ``samphire.load``.
        images: each as for :func:`embed`; read when its turn comes.
        batch_size: pictures in one call of the encoder. A larger batch may change the last
            digits, and holds that many pictures in memory.
        max_pixels: see :func:`embed`, as ``page``, ``window`` and ``cache``.
        page: of each file.
        window: of each picture.
        cache: pictures that are there do not count for the batch.

    Returns:
        Embeddings in the order of the images. Equal pictures in one batch are encoded once.

    Raises:
        ValueError: ``batch_size`` is below 1.
        ImageError: while iterating: a picture cannot be read; its place in the order is named,
            and those before it have been given. To go on past bad files, embed a folder on the
            command line, or call :func:`embed` for each.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1")

    def looked_up(index: int, image: ImageLike) -> "_Picture":
        try:
            rgb = read_image(
                image, max_pixels, page=page, window=window, usual_window=engine.info.window
            )
        except ImageError as error:
            raise ImageError(f"image {index}, counted from 0: {error}") from error
        return _looked_up(engine, rgb, image_name(image), cache)

    pictures = (looked_up(index, image) for index, image in enumerate(images))
    return _in_batches(engine, pictures, batch_size, cache)


@dataclass(frozen=True, eq=False)
class _Picture:
    """One picture on its way: its embedding where the cache had it, else its pixels."""

    name: str
    key: EmbeddingKey
    has: ImageEmbedding | ByteArray


def _looked_up(engine: Engine, rgb: ByteArray, name: str, cache: EmbeddingStore | None) -> _Picture:
    key = EmbeddingKey(engine.info.encoder_id, engine.info.preprocessing, pixels_id(rgb))
    found = None if cache is None else cache.get(key)
    return _Picture(name, key, rgb if found is None else found)


def _in_batches(
    engine: Engine,
    pictures: Iterator[_Picture],
    batch_size: int,
    cache: EmbeddingStore | None,
) -> Iterator[ImageEmbedding]:
    """Embeddings in order; the encoder is called when enough pictures wait for it."""
    held: list[_Picture] = []
    failure: ImageError | None = None
    while failure is None:
        try:
            held.append(next(pictures))
        except StopIteration:
            break
        except ImageError as error:  # told after the pictures before it
            failure = error
        waiting = len(_to_encode(held))
        if waiting in (0, batch_size) or len(held) == HELD_BACK * batch_size:
            yield from _encoded(engine, held, cache)
            held = []
    yield from _encoded(engine, held, cache)
    if failure is not None:
        raise failure


def _to_encode(pictures: list[_Picture]) -> dict[EmbeddingKey, tuple[str, ByteArray]]:
    """Names and pixels of those that the encoder must see, equal pictures once."""
    return {p.key: (p.name, p.has) for p in pictures if not isinstance(p.has, ImageEmbedding)}


def _encoded(
    engine: Engine, pictures: list[_Picture], cache: EmbeddingStore | None
) -> list[ImageEmbedding]:
    """The embeddings of these pictures: one call of the encoder for all that need it."""
    missing = _to_encode(pictures)
    made = _run(engine, missing) if missing else {}
    # precision is no part of the key, so only the exact ones are kept
    if cache is not None and engine.info.dtype == "float32":
        for embedding in made.values():
            cache.put(embedding)
    return [
        replace(p.has if isinstance(p.has, ImageEmbedding) else made[p.key], image=p.name)
        for p in pictures
    ]


def _run(
    engine: Engine, pictures: dict[EmbeddingKey, tuple[str, ByteArray]]
) -> dict[EmbeddingKey, ImageEmbedding]:
    """Run the image encoder."""
    started = time.perf_counter()
    record = preprocessing(engine.info.preprocessing)
    inputs = [record.apply(rgb) for _, rgb in pictures.values()]
    features = engine.encode(np.concatenate([pixels for pixels, _ in inputs]))
    logger.info(
        "embedded %s in %.2f s by %s",
        ", ".join(name for name, _ in pictures.values()),
        time.perf_counter() - started,
        engine.info,
    )
    return {
        key: ImageEmbedding(
            features=features[index : index + 1],
            frame=inputs[index][1],
            key=key,
            made_by=str(engine.info),
            image=name,
        )
        for index, (key, (name, _)) in enumerate(pictures.items())
    }
