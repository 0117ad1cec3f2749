"""Masks JSON: a superset of the SA-1B record, with COCO run lengths.

    {"format": "samphire-masks", "version": 1, "samphire": "0.1.0",
     "image": {"width": 1800, "height": 1200},
     "annotations": [{"segmentation": {"size": [1200, 1800], "counts": "..."},
                      "bbox": [x, y, width, height], "area": 4021, "predicted_iou": 0.98,
                      "stability_score": 0.97, "point_coords": [[500.0, 375.0]],
                      "crop_box": [0, 0, 1800, 1200], "prompt_index": 0, "candidate": 2,
                      "parent": -1, "label": 0, "name": ""}]}

``bbox`` is the pixel extent, as pycocotools computes it. Numbers that are not known are null.
"""

import json
import math
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from samphire.arrays import FloatArray, IntArray
from samphire.errors import FileFormatError, SamphireError
from samphire.geometry import Size
from samphire.masks import Masks, rle

FORMAT, VERSION = "samphire-masks", 1
# Run lengths claim any size in a few letters; a mask is worked on column by column.
MAX_SIDE = 1 << 20


def encode(masks: Masks) -> list[bytes]:
    """The bytes of the one file of all masks."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "samphire": version("samphire"),
        "image": {"width": masks.size.width, "height": masks.size.height},
        "annotations": [_record(masks, index) for index in range(len(masks))],
    }
    return [json.dumps(document, allow_nan=False).encode() + b"\n"]


def read(path: Path) -> Masks:
    """Read the file back; a plain SA-1B file is read too.

    Raises:
        FileFormatError: it is not such a file, or of a newer version.
    """
    try:
        document = json.loads(path.read_bytes())
        if document.get("version", VERSION) > VERSION:
            raise FileFormatError(
                f"version {document['version']} of {FORMAT}, and this Samphire reads up to "
                f"{VERSION}; upgrade it"
            )
        if document.get("format", FORMAT) != FORMAT:
            raise FileFormatError(f"the format {document['format']!r}: expected {FORMAT!r}")
        size = Size(*_whole([document["image"]["height"], document["image"]["width"]]))
        if max(size.height, size.width) > MAX_SIDE:
            raise FileFormatError(f"an image of {size}: expected sides of at most {MAX_SIDE}")
        return _masks(size, document["annotations"])
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
            f"{path} is not a file of masks ({type(error).__name__}: {error}): expected the JSON "
            "that samphire segment writes"
        ) from error


def _record(masks: Masks, index: int) -> dict[str, Any]:
    size = [masks.size.height, masks.size.width]
    point = [_number(value) for value in masks.point[index]]
    return {
        "segmentation": {"size": size, "counts": rle.to_coco(masks.image_runs(index))},
        "bbox": _corner_and_size(masks.boxes[index]),
        "area": int(masks.area[index]),
        "predicted_iou": _number(masks.predicted_iou[index]),
        "stability_score": _number(masks.stability[index]),
        "point_coords": None if None in point else [point],
        "crop_box": _corner_and_size(masks.crop_box[index]),
        "prompt_index": int(masks.prompt_index[index]),
        "candidate": int(masks.candidate[index]),
        "parent": int(masks.parent[index]),
        "label": int(masks.label[index]),
        "name": masks.name[index],
    }


def _masks(size: Size, records: list[dict[str, Any]]) -> Masks:
    windows = [_window(record["segmentation"], size) for record in records]
    masks = Masks.from_runs(size, [box for box, _ in windows], tuple(runs for _, runs in windows))
    crops = [record.get("crop_box", [0, 0, size.width, size.height]) for record in records]
    points = [(record.get("point_coords") or [[None, None]])[0] for record in records]
    return Masks(
        size=size,
        boxes=masks.boxes,
        runs=masks.runs,
        predicted_iou=_floats(record.get("predicted_iou") for record in records),
        stability=_floats(record.get("stability_score") for record in records),
        prompt_index=_integers(record.get("prompt_index", -1) for record in records),
        candidate=_integers(record.get("candidate", -1) for record in records),
        point=_floats(value for point in points for value in point).reshape(-1, 2),
        crop_box=_integers(
            value for x, y, width, height in crops for value in (x, y, x + width, y + height)
        ).reshape(-1, 4),
        parent=_integers(record.get("parent", -1) for record in records),
        label=_integers(record.get("label", 0) for record in records),
        name=tuple(str(record.get("name") or "") for record in records),
    )


def _window(segmentation: dict[str, Any], size: Size) -> tuple[rle.Box, IntArray]:
    counts = segmentation["counts"]
    runs = rle.from_coco(counts) if isinstance(counts, str) else np.array(_whole(counts), np.uint32)
    found = segmentation["size"]
    total = int(runs.sum(dtype=np.int64))
    if found != [size.height, size.width] or total != size.height * size.width:
        raise FileFormatError(
            f"a mask of size {found} with {total} pixels: expected height and width "
            f"[{size.height}, {size.width}], {size.height * size.width} pixels"
        )
    return rle.narrow(runs, size.height)


def _corner_and_size(box: IntArray) -> list[int]:
    x0, y0, x1, y1 = (int(edge) for edge in box)
    return [x0, y0, x1 - x0, y1 - y0]


def _number(value: np.floating[Any]) -> float | None:
    # float32's own digits: the shortest decimal that reads back as the same float32
    return float(str(value)) if math.isfinite(value) else None


def _floats(values: Iterable[float | None]) -> FloatArray:
    made = np.array([np.nan if value is None else value for value in values], np.float64)
    if (np.abs(made) > np.finfo(np.float32).max).any():
        raise ValueError("a score or a coordinate is beyond 32 bits")
    return made


def _integers(values: Iterable[int]) -> IntArray:
    return np.array(list(values), np.int32)


def _whole(values: list[Any]) -> list[int]:
    if not all(type(value) is int for value in values):
        raise TypeError(f"{values[:4]} are not all whole numbers")
    return values
