"""The files of segment-anything's ``scripts/amg.py``, for programs that were written for them.

A folder a picture, ``photo/0.png``, ``photo/1.png``, ... (255 on the object) and
``photo/metadata.csv``; or, as its ``--convert-to-rle`` gives, ``photo.json``, a list of records
with COCO run lengths. In both ``bbox`` is x, y, width, height counted to the last pixel, so width
and height are one less than the pixels there are. Scores have the digits of 64 bits, as published;
unknown numbers are ``nan`` in the table and null in the list.
Source: segment-anything ``scripts/amg.py``.
"""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from samphire.arrays import FloatArray
from samphire.errors import FileFormatError
from samphire.formats import grey, records
from samphire.formats.format import Picture
from samphire.masks import Masks
from samphire.masks.algebra import concat

METADATA = "metadata.csv"
COLUMNS = (
    *("id", "area", "bbox_x0", "bbox_y0", "bbox_w", "bbox_h", "point_input_x", "point_input_y"),
    *("predicted_iou", "stability_score"),
    *("crop_box_x0", "crop_box_y0", "crop_box_w", "crop_box_h"),
)


def paths(path: Path, count: int) -> list[Path]:
    """The pictures of the masks, and the table.

    >>> [made.as_posix() for made in paths(Path("out/dog"), 2)]
    ['out/dog/0.png', 'out/dog/1.png', 'out/dog/metadata.csv']
    """
    return [*(path / f"{index}.png" for index in range(count)), path / METADATA]


def encode(masks: Masks, picture: Picture) -> Iterator[bytes]:
    """The bytes of these files; the table has no line end at its end, as published."""
    del picture
    for mask in masks:
        yield grey.mask_png(mask.to_array()[0])
    rows = [",".join(COLUMNS)]
    for index in range(len(masks)):
        record = _record(masks, index)
        ((x, y),) = record["point_coords"]
        values = (
            *(index, record["area"], *record["bbox"], x, y),
            *(record["predicted_iou"], record["stability_score"], *record["crop_box"]),
        )
        rows.append(",".join(map(str, values)))
    yield "\n".join(rows).encode()


def read(path: Path, image: str | None = None) -> Masks:
    """Masks of such a folder, or of its table.

    Args:
        path: of the folder, or of ``metadata.csv`` in it.
        image: not used: the folder is about one picture.

    Raises:
        FileFormatError: it is no such folder.
    """
    del image
    # any other name is a folder: what lies beside a missing one is not it
    folder = path.parent if path.name == METADATA else path
    table = folder / METADATA
    with records.reading(table, "the folder that segment-anything's amg.py writes"):
        rows = _rows(table)
        if not rows:
            raise FileFormatError("no masks, and so no size of the picture")
        masks = concat(
            [
                Masks.from_arrays(grey.read_png(folder / f"{int(row['id'])}.png")[None])
                for row in rows
            ]
        )
        crops = [[int(float(row[name])) for name in COLUMNS[-4:]] for row in rows]
        return replace(
            masks,
            predicted_iou=_numbers(rows, "predicted_iou"),
            stability=_numbers(rows, "stability_score"),
            point=np.stack(
                [_numbers(rows, "point_input_x"), _numbers(rows, "point_input_y")], axis=1
            ),
            crop_box=records.integers(
                value for x, y, width, height in crops for value in (x, y, x + width, y + height)
            ).reshape(-1, 4),
        )


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    except csv.Error as error:  # it is no ValueError
        raise FileFormatError(f"no table ({error})") from error


def _numbers(rows: list[dict[str, str]], name: str) -> FloatArray:
    """A column; ``nan`` where the number is not known."""
    return records.floats(float(row[name]) for row in rows)


def encode_rle(masks: Masks, picture: Picture) -> list[bytes]:
    """The list of records; a score that is not known is null."""
    del picture
    found = [
        {"segmentation": records.segmentation(masks, index)} | _with_nulls(_record(masks, index))
        for index in range(len(masks))
    ]
    return [json.dumps(found, allow_nan=False).encode()]


def read_rle(path: Path, image: str | None = None) -> Masks:
    """Masks of such a list.

    Args:
        path: of the file.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: it is no such list, or an empty one, which does not say the size.
    """
    del image
    with records.reading(path, "the list of records that segment-anything's amg.py writes"):
        found = json.loads(path.read_bytes())
        if not isinstance(found, list) or not found:
            raise FileFormatError("no masks, and so no size of the picture")
        height, width = records.whole(found[0]["segmentation"]["size"])
        size = records.image_size({"height": height, "width": width})
        return records.sa1b_masks(size, found)


def _record(masks: Masks, index: int) -> dict[str, Any]:
    """The published record, without its mask; NaN where a number is not known."""
    x0, y0, x1, y1 = (int(edge) for edge in masks.boxes[index])
    return {
        "area": int(masks.area[index]),
        "bbox": [x0, y0, max(x1 - x0 - 1, 0), max(y1 - y0 - 1, 0)],
        "predicted_iou": float(masks.predicted_iou[index]),
        "point_coords": [masks.point[index].tolist()],
        "stability_score": float(masks.stability[index]),
        "crop_box": records.corner_and_size(masks.crop_box[index]),
    }


def _with_nulls(record: dict[str, Any]) -> dict[str, Any]:
    """The record as JSON has it, which knows no NaN."""
    ((x, y),) = record["point_coords"]
    scores = {name: _or_null(record[name]) for name in ("predicted_iou", "stability_score")}
    return record | scores | {"point_coords": [[_or_null(x), _or_null(y)]]}


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None
