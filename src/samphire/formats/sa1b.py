"""SA-1B's JSON: the records of the data set that SAM was trained with, one file a picture.

    {"image": {"image_id": 1, "width": 1800, "height": 1200, "file_name": "photo.jpg"},
     "annotations": [{"id": 1, "segmentation": {"size": [1200, 1800], "counts": "..."},
                      "bbox": [x, y, width, height], "area": 4021, "predicted_iou": 0.98,
                      "stability_score": 0.97, "crop_box": [0, 0, 1800, 1200],
                      "point_coords": [[500.0, 375.0]]}]}

Exactly these keys; a score or a point that is not known is left out. ``bbox`` is the pixel extent.
Source: the data set's own description, Kirillov et al. 2023, appendix F.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from samphire.formats import records
from samphire.formats.format import Picture
from samphire.formats.prompt_records import counted
from samphire.masks import Masks


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The one file of a picture's masks."""
    document = {
        "image": {
            "image_id": 1,
            "width": masks.size.width,
            "height": masks.size.height,
            "file_name": picture.name,
        },
        "annotations": [_record(masks, index) for index in range(len(masks))],
    }
    return [records.to_json(document)]


def read(path: Path, image: str | None = None) -> Masks:
    """Read the file back.

    Args:
        path: of the file.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: it is no such file.
    """
    del image
    with records.reading(path, "SA-1B's JSON"):
        document = json.loads(path.read_bytes())
        return records.sa1b_masks(records.image_size(document["image"]), document["annotations"])


def losses(masks: Masks) -> tuple[str, ...]:
    """Names, classes and parents have no place."""
    named = int(np.count_nonzero((masks.label != 0) | (np.array(masks.name, object) != "")))
    parts = int(np.count_nonzero(masks.parent >= 0))
    lines = []
    if named:
        lines.append(
            f"{counted(named, 'mask', 'masks')} with a name or class, which SA-1B has no place for"
        )
    if parts:
        lines.append(
            f"{counted(parts, 'mask', 'masks')} with a parent, which SA-1B has no place for"
        )
    return tuple(lines)


def _record(masks: Masks, index: int) -> dict[str, Any]:
    known = {
        "predicted_iou": records.number(masks.predicted_iou[index]),
        "stability_score": records.number(masks.stability[index]),
    }
    record = {
        "id": index + 1,
        "segmentation": records.segmentation(masks, index),
        "bbox": records.corner_and_size(masks.boxes[index]),
        "area": int(masks.area[index]),
        **{key: value for key, value in known.items() if value is not None},
        "crop_box": records.corner_and_size(masks.crop_box[index]),
    }
    if np.isfinite(masks.point[index]).all():
        record["point_coords"] = [masks.point[index].tolist()]
    return record
