"""Masks JSON: a superset of the SA-1B record, with COCO run lengths.

    {"format": "samphire-masks", "version": 1, "samphire": "0.1.0",
     "image": {"width": 1800, "height": 1200, "file_name": "photo.jpg", "link": "../photo.jpg"},
     "annotations": [{"segmentation": {"size": [1200, 1800], "counts": "..."},
                      "bbox": [x, y, width, height], "area": 4021, "predicted_iou": 0.98,
                      "stability_score": 0.97, "point_coords": [[500.0, 375.0]],
                      "crop_box": [0, 0, 1800, 1200], "prompt_index": 0, "candidate": 2,
                      "parent": -1, "label": 0, "edited": false, "name": ""}]}

``bbox`` is the pixel extent, as pycocotools computes it. Numbers that are not known are null.
``file_name`` and ``link``, where the picture lies from here, may be missing.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samphire.errors import FileFormatError
from samphire.formats import records
from samphire.formats.format import Picture
from samphire.masks import Masks

FORMAT, VERSION = "samphire-masks", 1


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The bytes of the one file of all masks."""
    image: dict[str, Any] = {"width": masks.size.width, "height": masks.size.height}
    image |= {"file_name": picture.name} if picture.name else {}
    image |= {"link": picture.link} if picture.link else {}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "samphire": version("samphire"),
        "image": image,
        "annotations": [_record(masks, index) for index in range(len(masks))],
    }
    return [records.to_json(document)]


def read(path: Path, image: str | None = None) -> Masks:
    """Read the file back; a plain SA-1B file is read too.

    Args:
        path: of the file.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: it is not such a file, or of a newer version.
    """
    del image
    with records.reading(path, "the JSON that samphire writes"):
        document = _document(path)
        return records.sa1b_masks(records.image_size(document["image"]), document["annotations"])


def read_picture(path: Path) -> Picture:
    """What the file says about its picture; the pixels are elsewhere.

    Raises:
        FileFormatError: it is not such a file, or of a newer version.
    """
    with records.reading(path, "the JSON that samphire writes"):
        found = _document(path)["image"]
        return Picture(str(found.get("file_name", "")), str(found.get("link", "")))


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    if document.get("version", VERSION) > VERSION:
        raise FileFormatError(
            f"version {document['version']} of {FORMAT}, and this Samphire reads up to "
            f"{VERSION}; upgrade it"
        )
    if document.get("format", FORMAT) != FORMAT:
        raise FileFormatError(f"the format {document['format']!r}: expected {FORMAT!r}")
    return document


def _record(masks: Masks, index: int) -> dict[str, Any]:
    return {
        "segmentation": records.segmentation(masks, index),
        "bbox": records.corner_and_size(masks.boxes[index]),
        "area": int(masks.area[index]),
        **records.columns(masks, index),
    }
