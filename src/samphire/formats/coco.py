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
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
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
    document = {
        "info": {"description": "masks", "contributor": f"samphire {version('samphire')}"},
        "licenses": [],
        "images": [
            {
                "id": 1,
                "file_name": picture.name,
                "width": masks.size.width,
                "height": masks.size.height,
            }
        ],
        "categories": [_category(number, pair) for pair, number in categories.items()],
        "annotations": [
            _annotation(masks, index, categories, as_polygons=as_polygons)
            for index in range(len(masks))
        ],
    }
    return [records.to_json(document)]


encode_polygons = partial(encode, as_polygons=True)


def combine(documents: Sequence[bytes]) -> bytes:
    """One file about all pictures, from files about one each; ids are counted anew."""
    parts = [json.loads(document) for document in documents]
    pairs = [_pair(category) for part in parts for category in part["categories"]]
    categories = _categories(pairs)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for part in parts:
        first = len(annotations)
        own = {category["id"]: categories[_pair(category)] for category in part["categories"]}
        for image in part["images"]:
            images.append(image | {"id": len(images) + 1})
        for record in part["annotations"]:
            moved = {
                "id": record["id"] + first,
                "image_id": len(images),
                "category_id": own[record["category_id"]],
            }
            if "parent" in record:
                moved["parent"] = record["parent"] + first
            annotations.append(record | moved)
    whole = {
        "info": {"description": "masks", "contributor": f"samphire {version('samphire')}"},
        "licenses": [],
        "images": images,
        "categories": [_category(number, pair) for pair, number in categories.items()],
        "annotations": annotations,
    }
    return records.to_json(whole)


def pictures(path: Path) -> list[str]:
    """The names of the pictures that a file is about.

    Raises:
        FileFormatError: it is no such file.
    """
    with records.reading(path, EXPECTED):
        return [str(image["file_name"]) for image in json.loads(path.read_bytes())["images"]]


def read(path: Path, image: str | None = None) -> Masks:
    """The masks of one picture: run lengths of both kinds, and polygons.

    Args:
        path: of the file.
        image: its ``file_name``, or the last part of it; None where there is one picture.

    Raises:
        FileFormatError: it is no such file, or the picture is not in it.
    """
    with records.reading(path, EXPECTED):
        document = json.loads(path.read_bytes())
        chosen = _chosen(document["images"], image)
        size = records.image_size(chosen)
        categories = {each["id"]: _pair(each) for each in document.get("categories", [])}
        found = [each for each in document["annotations"] if each["image_id"] == chosen["id"]]
        return _masks(size, found, categories)


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
    label, name = category.get("samphire", [category["id"], category.get("name", "")])
    return (*records.whole([label]), str(name))  # type: ignore[return-value]


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


def _chosen(images: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    names = [str(image.get("file_name", "")) for image in images]
    if name is None and len(images) == 1:
        return images[0]
    exact = [index for index, known in enumerate(names) if known == name]
    last = [index for index, known in enumerate(names) if Path(known).name == Path(name or "").name]
    found = exact or last
    if len(found) != 1:
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        asked = "no picture was named" if name is None else f"{len(found)} are called {name}"
        raise FileFormatError(
            f"{len(images)} pictures, and {asked}: expected one of {shown} (image= in Python)"
        )
    return images[found[0]]


def _masks(size: Size, found: list[dict[str, Any]], categories: dict[Any, Category]) -> Masks:
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
