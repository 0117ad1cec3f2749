"""Boxes from COCO's instances JSON: every annotation's box asks for its mask.

``images[].file_name`` names the picture, ``annotations[].bbox`` is x, y, width, height; where it is
missing, the box around ``segmentation`` (polygons or run lengths) is taken. ``categories[].name``
becomes the object's name and ``category_id`` its label. Left out, and told: annotations of crowds
(``iscrowd``, a region and not an object), and empty boxes, of which the published sets have some.

Source: https://cocodataset.org/#format-data, "Object Detection".
"""

from collections import Counter
from typing import Any

import numpy as np

from samphire.errors import FileFormatError, SamphireError
from samphire.formats.prompt_records import (
    NamedPrompts,
    PromptsFile,
    counted,
    finite,
    object_name,
    picture_name,
)
from samphire.geometry import Size
from samphire.masks import rle
from samphire.prompts import ObjectPrompt

MAX_LABEL = 2**31 - 1


def is_coco(document: object) -> bool:
    """Whether a parsed JSON file is COCO's, of instances or of results."""
    if isinstance(document, list):
        return any(isinstance(item, dict) and "image_id" in item for item in document[:1])
    return isinstance(document, dict) and "annotations" in document


def parse(document: Any) -> PromptsFile:  # noqa: ANN401 - whatever the file holds
    """The boxes of a parsed COCO file.

    Raises:
        FileFormatError: it is not as above; the record is named.
    """
    if isinstance(document, list):
        raise FileFormatError(
            "it is a list of COCO results, which name no files: expected the instances JSON with "
            "images and annotations"
        )
    pictures = {
        _id(record, "id", where): picture_name(record.get("file_name"), where)
        for record, where in _listed(document, "images")
    }
    if len(set(pictures.values())) < len(document["images"]):
        raise FileFormatError("images: an id or a file_name is there twice")
    categories = {
        _id(record, "id", where): object_name(record.get("name", ""), where)
        for record, where in _listed(document, "categories", needed=False)
    }
    objects: dict[str, list[tuple[ObjectPrompt, str, int]]] = {}
    left_out: Counter[str] = Counter()
    for record, where in _listed(document, "annotations"):
        image_id, label = _id(record, "image_id", where), _label(record, where)
        if image_id not in pictures:
            raise FileFormatError(f"{where}: no image has the id {image_id}")
        box = None if record.get("iscrowd") else _box(record, where)
        if box is None:
            left_out["crowds" if record.get("iscrowd") else "empty boxes"] += 1
            continue
        prompt = ObjectPrompt(np.zeros((0, 2)), np.zeros(0, np.int32), np.array(box))
        item = (prompt, categories.get(label, ""), label)
        objects.setdefault(pictures[image_id], []).append(item)
    if not objects:
        raise FileFormatError("it has no annotation with a box")
    return PromptsFile(
        images={name: NamedPrompts.of(items) for name, items in objects.items()},
        notes=tuple(
            f"{counted(count, 'annotation', 'annotations')} left out: {reason}"
            for reason, count in left_out.items()
        ),
    )


def _listed(
    document: dict[str, Any], key: str, *, needed: bool = True
) -> list[tuple[dict[str, Any], str]]:
    """The records of a list, each with what to call it in messages."""
    records = document.get(key) if needed else document.get(key, [])
    if not isinstance(records, list):
        raise FileFormatError(f"{key} is not a list: expected COCO's instances JSON")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise FileFormatError(f"{key}[{index}] is {record!r:.60}: expected a record")
    return [(record, f"{key}[{index}]") for index, record in enumerate(records)]


def _id(record: dict[str, Any], key: str, where: str) -> int | str:
    """An id: a whole number, or as some tools write it, a text."""
    value = record.get(key)
    if type(value) is int or (isinstance(value, str) and value):
        return value
    raise FileFormatError(f"{where}: {key} is {value!r:.60}: expected a whole number")


def _label(record: dict[str, Any], where: str) -> int:
    value = _id(record, "category_id", where)
    if not isinstance(value, int) or not 0 <= value <= MAX_LABEL:
        raise FileFormatError(
            f"{where}: category_id is {value!r:.60}: expected a whole number from 0 to {MAX_LABEL}"
        )
    return value


def _box(record: dict[str, Any], where: str) -> tuple[float, float, float, float] | None:
    """Corners x0, y0, x1, y1; None if empty."""
    if "bbox" in record:
        x0, y0, width, height = _four(record["bbox"], f"{where}, bbox")
        box = (x0, y0, finite(x0 + width, where), finite(y0 + height, where))
    elif record.get("segmentation"):
        box = _around(record["segmentation"], f"{where}, segmentation")
    else:
        raise FileFormatError(f"{where}: it has neither bbox nor segmentation")
    return box if box[0] < box[2] and box[1] < box[3] else None


def _four(values: object, where: str) -> list[float]:
    if not isinstance(values, list) or len(values) != 4:
        raise FileFormatError(f"{where}: {values!r:.60}: expected x, y, width, height")
    return [finite(value, where) for value in values]


def _around(segmentation: object, where: str) -> tuple[float, float, float, float]:
    """The box around polygons, or around run lengths."""
    if isinstance(segmentation, list):
        numbers = [
            finite(value, where)
            for polygon in segmentation
            for value in (polygon if isinstance(polygon, list) else [polygon])
        ]
        if not numbers or len(numbers) % 2:
            raise FileFormatError(f"{where}: expected polygons [[x, y, x, y, ...], ...]")
        xs, ys = numbers[0::2], numbers[1::2]
        return min(xs), min(ys), max(xs), max(ys)
    try:
        counts, (height, width) = segmentation["counts"], segmentation["size"]  # type: ignore[index]
        runs = rle.from_coco(counts) if isinstance(counts, str) else np.array(counts, np.uint32)
        if int(runs.sum(dtype=np.int64)) != Size(height, width).height * width:
            raise FileFormatError(f"run lengths that do not fill {width}x{height}")
        box, _ = rle.narrow(runs, height)
    except (SamphireError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise FileFormatError(f"{where}: not run lengths of COCO ({error})") from error
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return x0, y0, x1, y1
