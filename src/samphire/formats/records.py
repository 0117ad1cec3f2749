"""What JSON formats of masks have in common: a segmentation, a box, a number, a reader's errors.

The segmentation is COCO's: ``{"size": [height, width], "counts": ...}``, the counts compressed to
a string or a plain list. Not a format.
"""

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from samphire.arrays import FloatArray, IntArray
from samphire.errors import FileFormatError, SamphireError
from samphire.formats.format import Picture
from samphire.geometry import Size
from samphire.masks import Masks, rle

# Run lengths claim any size in a few letters; a mask is worked on column by column.
MAX_SIDE = 1 << 20
MAX_PIXELS = 1 << 32  # a run length has 32 bits


@contextmanager
def reading(path: Path | str, expected: str) -> Iterator[None]:
    """Turn whatever damaged content raises into one error that names the file.

    Args:
        path: of the file, or what to call content that has none.
        expected: what it should be, for the message.

    Raises:
        FileFormatError: the block raised because of the content.
    """
    try:
        yield
    except SamphireError as error:
        raise FileFormatError(f"{path} holds {error}") from error
    except (
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        RecursionError,
    ) as error:
        raise FileFormatError(
            f"{path} is not a file of masks ({type(error).__name__}: {error}): expected {expected}"
        ) from error


def image_name(path: Path) -> Picture:
    """The ``file_name`` in a document's ``image``, where there is one.

    Raises:
        FileFormatError: the document has no such member.
    """
    with reading(path, 'JSON with a member "image"'):
        found = json.loads(path.read_bytes())["image"]
        return Picture(str(found.get("file_name") or ""))


def to_json(document: dict[str, Any]) -> bytes:
    """One line of JSON, with a line end."""
    return json.dumps(document, allow_nan=False).encode() + b"\n"


def image_size(record: dict[str, Any]) -> Size:
    """The size that a record's ``height`` and ``width`` say.

    Raises:
        FileFormatError: it is larger than any picture.
    """
    size = Size(*whole([record["height"], record["width"]]))
    if max(size.height, size.width) > MAX_SIDE:
        raise FileFormatError(f"an image of {size}: expected sides of at most {MAX_SIDE}")
    if size.height * size.width >= MAX_PIXELS:
        raise FileFormatError(f"an image of {size}: expected fewer than {MAX_PIXELS} pixels")
    return size


def segmentation(masks: Masks, index: int) -> dict[str, Any]:
    """One mask as COCO's compressed run lengths."""
    size = [masks.size.height, masks.size.width]
    return {"size": size, "counts": rle.to_coco(masks.image_runs(index))}


def image_runs(found: dict[str, Any], size: Size) -> IntArray:
    """Run lengths over the whole image of a segmentation, compressed or not.

    Raises:
        FileFormatError: it is for an image of another size.
    """
    counts = found["counts"]
    runs = rle.from_coco(counts) if isinstance(counts, str) else np.array(whole(counts), np.uint32)
    total = int(runs.sum(dtype=np.int64))
    if found["size"] != [size.height, size.width] or total != size.height * size.width:
        raise FileFormatError(
            f"a mask of size {found['size']} with {total} pixels: expected height and width "
            f"[{size.height}, {size.width}], {size.height * size.width} pixels"
        )
    return runs


def columns(masks: Masks, index: int) -> dict[str, Any]:
    """All that is known of one mask besides its pixels; numbers that are not known are null."""
    point = [number(value) for value in masks.point[index]]
    return {
        "predicted_iou": number(masks.predicted_iou[index]),
        "stability_score": number(masks.stability[index]),
        "point_coords": None if None in point else [point],
        "crop_box": corner_and_size(masks.crop_box[index]),
        "prompt_index": int(masks.prompt_index[index]),
        "candidate": int(masks.candidate[index]),
        "parent": int(masks.parent[index]),
        "label": int(masks.label[index]),
        "edited": bool(masks.edited[index]),
        "name": masks.name[index],
    }


def with_columns(masks: Masks, found: list[dict[str, Any]]) -> Masks:
    """The masks with what :func:`columns` said of them; keys may be missing or null."""
    return replace(
        masks,
        predicted_iou=floats(record.get("predicted_iou") for record in found),
        stability=floats(record.get("stability_score") for record in found),
        prompt_index=integers(record.get("prompt_index", -1) for record in found),
        candidate=integers(record.get("candidate", -1) for record in found),
        point=points(found),
        crop_box=crop_boxes(found, masks.size),
        parent=integers(record.get("parent", -1) for record in found),
        label=integers(record.get("label", 0) for record in found),
        edited=np.array([record.get("edited", False) is True for record in found], np.bool_),
        name=tuple(str(record.get("name") or "") for record in found),
    )


def sa1b_masks(size: Size, found: list[dict[str, Any]]) -> Masks:
    """Masks of SA-1B's records, or of ours, which have more keys."""
    runs = (image_runs(record["segmentation"], size) for record in found)
    return with_columns(Masks.from_image_runs(size, runs), found)


def points(found: list[dict[str, Any]]) -> FloatArray:
    """The first of each record's ``point_coords``, (N, 2); NaN where there is none."""
    first = [(record.get("point_coords") or [[None, None]])[0] for record in found]
    return floats(value for point in first for value in point).reshape(-1, 2)


def crop_boxes(found: list[dict[str, Any]], size: Size) -> IntArray:
    """Each record's ``crop_box`` x, y, width, height as x0, y0, x1, y1; the image if missing."""
    crops = [record.get("crop_box", [0, 0, size.width, size.height]) for record in found]
    return integers(
        int(value) for x, y, width, height in crops for value in (x, y, x + width, y + height)
    ).reshape(-1, 4)


def corner_and_size(box: IntArray) -> list[int]:
    """A box x0, y0, x1, y1 as x, y, width, height."""
    x0, y0, x1, y1 = (int(edge) for edge in box)
    return [x0, y0, x1 - x0, y1 - y0]


def number(value: np.floating[Any]) -> float | None:
    """A float32 as the shortest decimal that reads back as it; NaN as null."""
    return float(str(value)) if math.isfinite(value) else None


def floats(values: Iterable[float | None]) -> FloatArray:
    """Numbers, null being NaN.

    Raises:
        ValueError: one is beyond 32 bits.
    """
    made = np.array([np.nan if value is None else value for value in values], np.float64)
    if (np.abs(made) > np.finfo(np.float32).max).any():
        raise ValueError("a score or a coordinate is beyond 32 bits")
    return made


def integers(values: Iterable[int]) -> IntArray:
    """Whole numbers of 32 bits."""
    return np.array(list(values), np.int32)


def whole(values: list[Any]) -> list[int]:
    """The list, if its items are whole numbers.

    Raises:
        TypeError: one is not.
    """
    if not all(type(value) is int for value in values):
        raise TypeError(f"{values[:4]} are not all whole numbers")
    return values
