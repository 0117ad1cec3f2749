"""COCO's instances: masks of one picture or of many, as run lengths or polygons.

    {"info": {...}, "licenses": [], "images": [{"id": 1, "file_name": "photo.jpg", "width": 1800,
     "height": 1200}], "categories": [{"id": 1, "name": "object"}], "annotations": [{"id": 1,
     "image_id": 1, "category_id": 1, "segmentation": ..., "bbox": [x, y, width, height],
     "area": 4021, "iscrowd": 0, "score": 0.98, ...}]}

``bbox`` is the pixel extent, as pycocotools computes it. A category is a label with a name; masks
without either are of the category "object". Scores and points are extra keys, which COCO's programs
pass over; ``score`` is what they read of results. Polygons follow pixel edges and fill to the same
mask; COCO's have no holes, so a mask with holes stays run lengths.

Not for prompts (``prompts_coco.py``). Source: the COCO data format, and cocoapi ``coco.py``.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from samphire.arrays import IntArray
from samphire.errors import FileFormatError
from samphire.formats import records
from samphire.formats.format import Picture
from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.contours import Polygon, from_polygons, polygons

EXPECTED = "COCO's instances JSON"
SHOWN = 5

Category = tuple[int, str]  # label and name


def encode(masks: Masks, picture: Picture, *, as_polygons: bool = False) -> list[bytes]:
    """The one file of a picture's masks."""
    categories = _categories(zip(masks.label.tolist(), masks.name, strict=True))
    size = {"width": masks.size.width, "height": masks.size.height}
    annotations = [
        _annotation(masks, index, categories, as_polygons=as_polygons)
        for index in range(len(masks))
    ]
    images = [{"id": 1, "file_name": picture.name, **size}]
    return [records.to_json(_document(images, categories, annotations))]


encode_polygons = partial(encode, as_polygons=True)


def combine(documents: Sequence[bytes]) -> bytes:
    """One file about all pictures, from files about some each; ids are counted anew.

    Raises:
        FileFormatError: a document is no such file.
    """
    parts = []
    for place, document in enumerate(documents, 1):
        with records.reading(f"file {place} of {len(documents)} to combine", EXPECTED):
            parts.append(_part(json.loads(document, parse_float=_finite, parse_constant=_finite)))
    categories = _categories(pair for part in parts for pair in part.pairs.values())
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for part in parts:
        own = {known: len(images) + place for place, known in enumerate(part.images, 1)}
        images += [image | {"id": own[known]} for known, image in part.images.items()]
        first = len(annotations) + 1
        for number, (record, parent) in enumerate(
            zip(part.annotations, part.parents, strict=True), first
        ):
            moved = {
                "id": number,
                "image_id": own[record["image_id"]],
                "category_id": categories[part.pairs[record["category_id"]]],
            }
            kept = {key: value for key, value in record.items() if key != "parent"}
            above = {} if parent is None else {"parent": first + parent}
            annotations.append(kept | moved | above)
    return records.to_json(_document(images, categories, annotations))


def pictures(path: Path) -> list[str]:
    """The names of the pictures that a file is about.

    Raises:
        FileFormatError: it is no such file.
    """
    with records.reading(path, EXPECTED):
        return [_name(image) for image in json.loads(path.read_bytes())["images"]]


def read(path: Path, image: str | None = None) -> Masks:
    """The masks of one picture: run lengths of both kinds, and polygons.

    Args:
        path: of the file.
        image: its ``file_name``, or the end of it where that is unique, or a path that ends in it;
            None where there is one picture.

    Raises:
        FileFormatError: it is no such file, or the picture is not in it.
    """
    with records.reading(path, EXPECTED):
        document = json.loads(path.read_bytes())
        chosen = _chosen(document["images"], image)
        size = records.image_size(chosen)
        categories = {each["id"]: _pair(each) for each in document.get("categories", [])}
        found = [each for each in document["annotations"] if each["image_id"] == chosen["id"]]
        return from_annotations(size, found, categories)


@dataclass(frozen=True, eq=False)
class _Part:
    """What one document adds to a common one: records by their ids in the document.

    Attributes:
        images: by id.
        pairs: by id.
        annotations: in their order.
        parents: place of the parent of each annotation among them, from 0; None if there is none.
    """

    images: dict[Any, dict[str, Any]]
    pairs: dict[Any, Category]
    annotations: list[dict[str, Any]]
    parents: list[int | None]


def _part(document: dict[str, Any]) -> _Part:
    images = {image["id"]: image for image in document["images"]}
    pairs = {each["id"]: _pair(each) for each in document.get("categories", [])}
    annotations = document["annotations"]
    for record in annotations:
        if record["image_id"] not in images:
            raise FileFormatError(
                f"an annotation {record['id']} of image {record['image_id']}: expected one of its "
                f"{len(images)} images"
            )
        known = record["category_id"]
        if known not in pairs:
            pairs[known] = _pair({"id": known})
    places = {record["id"]: place for place, record in enumerate(annotations)}
    parents = [places.get(record.get("parent")) for record in annotations]
    return _Part(images, pairs, annotations, parents)


def _finite(text: str) -> float:
    """A number that JSON can say again."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _document(
    images: list[dict[str, Any]],
    categories: dict[Category, int],
    annotations: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "info": {"description": "masks", "contributor": f"samphire {version('samphire')}"},
        "licenses": [],
        "images": images,
        "categories": [_category(number, pair) for pair, number in categories.items()],
        "annotations": annotations,
    }


def _categories(pairs: Any) -> dict[Category, int]:  # noqa: ANN401 - any iterable of pairs
    """The id of each pair of label and name: the label where it is free, else a new number."""
    known = sorted(set(pairs))
    numbers: dict[Category, int] = {}
    for pair in known:
        if pair[0] > 0 and pair[0] not in numbers.values():
            numbers[pair] = pair[0]
    for pair in known:
        if pair not in numbers:
            numbers[pair] = max(numbers.values(), default=0) + 1
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _category(number: int, pair: Category) -> dict[str, Any]:
    """COCO's record of a category; ours keeps the pair where id and name do not say it."""
    label, name = pair
    record: dict[str, Any] = {"id": number, "name": name or "object"}
    return record if (number, record["name"]) == pair else record | {"samphire": [label, name]}


def _pair(category: dict[str, Any]) -> Category:
    label, name = category.get("samphire", [category["id"], category.get("name")])
    return (*records.whole([label]), str(name or ""))  # type: ignore[return-value]


def _annotation(
    masks: Masks, index: int, categories: dict[Category, int], *, as_polygons: bool
) -> dict[str, Any]:
    parts = polygons(masks, index) if as_polygons else ()
    drawn = bool(parts) and not any(part.holes for part in parts)
    segmentation: Any = records.segmentation(masks, index)
    if drawn:
        segmentation = [part.outer.ravel().tolist() for part in parts]
    record = {
        "id": index + 1,
        "image_id": 1,
        "category_id": categories[int(masks.label[index]), masks.name[index]],
        "segmentation": segmentation,
        "bbox": records.corner_and_size(masks.boxes[index]),
        "area": int(masks.area[index]),
        "iscrowd": 0,
    }
    score = records.number(masks.predicted_iou[index])
    stability = records.number(masks.stability[index])
    record |= {} if score is None else {"score": score, "predicted_iou": score}
    record |= {} if stability is None else {"stability_score": stability}
    if np.isfinite(masks.point[index]).all():
        record["point_coords"] = [masks.point[index].tolist()]
    if masks.parent[index] >= 0:
        record["parent"] = int(masks.parent[index]) + 1
    extra = {
        "crop_box": records.corner_and_size(masks.crop_box[index]),
        "prompt_index": int(masks.prompt_index[index]),
        "candidate": int(masks.candidate[index]),
        "edited": bool(masks.edited[index]),
    }
    return record | extra


def _name(image: dict[str, Any]) -> str:
    return str(image.get("file_name") or "")


def _chosen(images: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    names = [_name(image) for image in images]
    if not images:
        raise FileFormatError("no pictures: expected at least one")
    if name is None and len(images) == 1:
        return images[0]
    found = [index for index, known in enumerate(names) if known == name]
    if name and not found:
        found = [index for index, known in enumerate(names) if known and _ends_alike(known, name)]
    if len(found) != 1:
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        asked = "no picture was named" if name is None else f"{len(found)} are called {name}"
        raise FileFormatError(
            f"{len(images)} pictures, and {asked}: expected one of {shown} (image= in Python)"
        )
    return images[found[0]]


def _ends_alike(one: str, other: str) -> bool:
    """One path is the end of the other, by whole parts: photo.jpg of day1/photo.jpg.

    >>> _ends_alike("day1/photo.jpg", "photo.jpg"), _ends_alike("day1/photo.jpg", "day2/photo.jpg")
    (True, False)
    """
    parts, others = PurePosixPath(one).parts, PurePosixPath(other).parts
    common = min(len(parts), len(others))
    return common > 0 and parts[-common:] == others[-common:]


def from_annotations(
    size: Size, found: list[dict[str, Any]], categories: dict[Any, Category]
) -> Masks:
    """The masks of one picture's annotations.

    Args:
        size: of the picture.
        found: COCO's records of annotations.
        categories: label and name of each ``category_id``.
    """
    masks = Masks.from_image_runs(size, (_image_runs(each["segmentation"], size) for each in found))
    pairs = [categories.get(each["category_id"], (each["category_id"], "")) for each in found]
    places = {each["id"]: index for index, each in enumerate(found)}
    return Masks(
        size=size,
        boxes=masks.boxes,
        runs=masks.runs,
        predicted_iou=records.floats(
            each.get("predicted_iou", each.get("score")) for each in found
        ),
        stability=records.floats(each.get("stability_score") for each in found),
        prompt_index=records.integers(each.get("prompt_index", -1) for each in found),
        candidate=records.integers(each.get("candidate", -1) for each in found),
        point=records.points(found),
        crop_box=records.crop_boxes(found, size),
        parent=records.integers(places.get(each.get("parent"), -1) for each in found),
        label=records.integers(label for label, _ in pairs),
        edited=np.array([each.get("edited", False) is True for each in found], np.bool_),
        name=tuple(name for _, name in pairs),
    )


def _image_runs(segmentation: Any, size: Size) -> IntArray:  # noqa: ANN401 - JSON
    """Run lengths over the image of whatever COCO allows; polygons are united."""
    if isinstance(segmentation, dict):
        return records.image_runs(segmentation, size)
    rings = [np.array(ring, np.float64).reshape(-1, 2) for ring in segmentation]
    drawn = from_polygons(size, [[Polygon(ring) for ring in rings]])
    runs: IntArray = drawn.image_runs(0)
    return runs
