"""What ``samphire predict`` looks for in a picture, and how it tells of it."""

from typing import Any

from samphire.arrays import ByteArray
from samphire.engines.base import Engine
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.masks import Masks
from samphire.predict.semantic import classify


def find(engine: Engine, rgb: ByteArray, name: str, cache: EmbeddingCache | None) -> Masks:
    """One mask a class, empty ones included."""
    del name
    return classify(engine, rgb, cache=cache)


def in_words(record: dict[str, Any]) -> str:
    """One line about a picture: the share that each class has of it."""
    pixels = record["width"] * record["height"]
    found = [f"{mask['name']}: {mask['area'] / pixels:.1%}" for mask in record["masks"]]
    missing = [f"{name}: not found" for name in record["not_found"]]
    return (
        f"{record['width']}x{record['height']}, {', '.join(found + missing)}; "
        f"{record['seconds']:.2f} s, {record['engine']}"
    )
