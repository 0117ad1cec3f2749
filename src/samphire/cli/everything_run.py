"""What ``samphire everything`` looks for in a picture, and how it tells of it."""

from functools import partial
from typing import Any

from tqdm import tqdm

from samphire.arrays import ByteArray
from samphire.cli.mask_run import Find
from samphire.engines.base import Engine
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.masks import Masks
from samphire.masks.hierarchy import hierarchy
from samphire.predict.everything import segment_everything
from samphire.predict.everything_settings import EverythingSettings, as_json


def finder(
    settings: EverythingSettings, *, parts: bool, max_memory: int | None, processes: int
) -> Find:
    """What finds all masks of a picture.

    Args:
        settings: of everything mode.
        parts: say which masks are parts of which.
        max_memory: bytes of all processes; None: no limit.
        processes: how many look at pictures at once; beside several there is one that writes.
    """
    share = max_memory
    if max_memory is not None and processes > 1:
        share = max_memory // (processes + 1)
    return partial(_find, settings=settings, parts=parts, max_memory=share, bar=processes == 1)


def journal_settings(settings: EverythingSettings, *, parts: bool) -> dict[str, Any]:
    """All that masks depend on besides the engine and the picture."""
    return {"command": "everything", "settings": as_json(settings), "hierarchy": parts}


def in_words(record: dict[str, Any]) -> str:
    """One line about a picture."""
    return (
        f"{record['width']}x{record['height']}, {len(record['masks'])} masks; "
        f"{record['seconds']:.1f} s, {record['engine']}"
    )


def _find(
    engine: Engine,
    rgb: ByteArray,
    name: str,
    cache: EmbeddingCache | None,
    *,
    settings: EverythingSettings,
    parts: bool,
    max_memory: int | None,
    bar: bool,
) -> Masks:
    with tqdm(desc=name, unit="point", leave=False, disable=None if bar else True) as shown:

        def on_progress(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        masks = segment_everything(
            engine,
            rgb,
            settings,
            on_progress=on_progress,
            max_memory=max_memory,
            cache=cache,
        )
    return hierarchy(masks) if parts else masks
