"""The JSON of labelme, to correct masks by hand there; as its version 6.3.1 writes it.

    {"version": "6.3.1", "flags": {}, "imagePath": "../photo.jpg", "imageData": null,
     "imageHeight": 1200, "imageWidth": 1800,
     "shapes": [{"label": "dog", "points": [[10, 20], [30, 20], [20, 40]], "group_id": null,
                 "description": "", "shape_type": "polygon", "flags": {}, "mask": null,
                 "predicted_iou": 0.98, "stability_score": 0.97, ...}]}

- A mask of one part without holes is a polygon through the centres of its outermost pixels, which
  labelme fills to the same mask; every other one is a shape of type "mask": its box, both corners
  included, and a PNG. Scores and prompts are in keys that labelme keeps but does not show.
- ``imagePath`` is the way from the JSON to the picture; labelme opens the picture when it opens
  the JSON, and finds the JSON of a picture if both have one name in one folder.
- Read are polygons, rectangles (oriented, too), circles and masks, filled as labelme fills them,
  see ``images/outlines.py``; other shapes are no areas and are left out, which is told. Shapes with
  the same label and ``group_id`` are one object, as in labelme.
"""

import base64
import json
import logging
from collections import Counter
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import cv2
import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.errors import FileFormatError
from samphire.formats import grey, records
from samphire.formats.format import Picture
from samphire.formats.prompt_records import counted
from samphire.geometry import Size
from samphire.images.outlines import Figure, fill
from samphire.masks import Masks, rle

logger = logging.getLogger(__name__)

VERSION = "6.3.1"
UNNAMED = "object"  # labelme wants a label
# How labelme calls areas, how they are filled, and how many points they have at least and at most.
_FIGURES: dict[str, tuple[Figure, int, float]] = {
    "polygon": ("polygon", 3, np.inf),
    "oriented_rectangle": ("polygon", 4, 4),
    "rectangle": ("rectangle", 2, 2),
    "circle": ("ellipse", 2, 2),
}
# What labelme keeps of ours in a shape; a parent would be wrong once a shape is deleted there.
_KEPT = (
    *("predicted_iou", "stability_score", "point_coords", "crop_box"),
    *("prompt_index", "candidate", "edited"),
)


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The bytes of the one file."""
    document: dict[str, Any] = {
        "version": VERSION,
        "flags": {},
        "shapes": [_shape(masks, index) for index in range(len(masks))],
        "imagePath": picture.link or picture.name,
        "imageData": None,
        "imageHeight": masks.size.height,
        "imageWidth": masks.size.width,
    }
    return [records.to_json(document)]


def read(path: Path, image: str | None = None) -> Masks:
    """Read a file that labelme or :func:`encode` wrote.

    Args:
        path: of the file.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: it is not such a file.
    """
    del image
    with records.reading(path, "the JSON of labelme"):
        document: dict[str, Any] = json.loads(path.read_bytes())
        size = records.image_size(
            {"height": document["imageHeight"], "width": document["imageWidth"]}
        )
        shapes = document["shapes"]
        kinds = [shape.get("shape_type") or "polygon" for shape in shapes]
        areas = [kind == "mask" or kind in _FIGURES for kind in kinds]
        found = _masks([shape for shape, area in zip(shapes, areas, strict=True) if area], size)
    others = Counter(kind for kind, area in zip(kinds, areas, strict=True) if not area)
    if others:
        logger.warning(
            "%s: %s left out, no areas (%s); draw them as polygons if they shall be masks",
            path,
            counted(others.total(), "shape was", "shapes were"),
            ", ".join(map(str, others)),
        )
    return found


def read_picture(path: Path) -> Picture:
    """The picture that the file is about.

    Raises:
        FileFormatError: it is no such file.
    """
    with records.reading(path, "the JSON of labelme"):
        link = PureWindowsPath(json.loads(path.read_bytes())["imagePath"]).as_posix()
        return Picture(PurePosixPath(link).name, link)


def names(path: Path) -> list[str]:
    """What the areas in a file are called, each name once, in order; "object" if not at all.

    Raises:
        FileFormatError: it is no such file.
    """
    with records.reading(path, "the JSON of labelme"):
        shapes = json.loads(path.read_bytes())["shapes"]
        kinds = [shape.get("shape_type") or "polygon" for shape in shapes]
        return sorted(
            {
                str(shape["label"])
                for shape, kind in zip(shapes, kinds, strict=True)
                if kind == "mask" or kind in _FIGURES
            }
        )


def losses(masks: Masks) -> tuple[str, ...]:
    """Which mask is a part of which."""
    count = int(np.count_nonzero(masks.parent >= 0))
    if not count:
        return ()
    return (
        f"{counted(count, 'mask is a part', 'masks are parts')} of others, which labelme cannot "
        "say",
    )


def _shape(masks: Masks, index: int) -> dict[str, Any]:
    polygon = _polygon(masks, index)
    known, name = records.columns(masks, index), masks.name[index]
    return {
        "label": name or UNNAMED,
        **(_mask(masks, index) if polygon is None else {"points": polygon.tolist(), "mask": None}),
        "group_id": None,
        "description": "",
        "shape_type": "mask" if polygon is None else "polygon",
        "flags": {},
        **({} if name else {"named": False}),
        **{key: known[key] for key in _KEPT},
        "class_id": known["label"],
    }


def _polygon(masks: Masks, index: int) -> IntArray | None:
    """The mask's outline through pixel centres, (V, 2) int32; None if that would not be all."""
    x0, y0, x1, _ = masks.boxes[index].tolist()
    window = masks.window(index)
    if not window.size:
        return None
    outlines, _ = cv2.findContours(
        window.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x0, y0)
    )
    if len(outlines) != 1 or len(outlines[0]) < 3:
        return None
    polygon: IntArray = outlines[0].reshape(-1, 2).astype(np.int32)
    _, rows = fill("polygon", polygon.astype(np.float64), masks.size)
    return polygon if np.array_equal(rows[:, x0:x1], window) else None


def _mask(masks: Masks, index: int) -> dict[str, Any]:
    """The box and the pixels in it, 0 and 1; an empty mask is one pixel that is off."""
    x0, y0, x1, y1 = masks.boxes[index].tolist()
    window = masks.window(index) if x0 < x1 else np.zeros((1, 1), np.bool_)
    _, data = cv2.imencode(".png", window.astype(np.uint8))
    corners = [[x0, y0], [max(x1 - 1, x0), max(y1 - 1, y0)]]
    return {"points": corners, "mask": base64.b64encode(data.tobytes()).decode()}


def _masks(shapes: list[dict[str, Any]], size: Size) -> Masks:
    """The masks of shapes that are areas; the first of a group says what is known of it."""
    runs: dict[object, IntArray] = {}
    first: list[dict[str, Any]] = []
    for index, shape in enumerate(shapes):
        group = shape.get("group_id")
        key = index if group is None else (shape["label"], group)
        made = _image_runs(shape, size)
        if key in runs:
            runs[key] = rle.combine(runs[key], made, np.logical_or)
        else:
            runs[key] = made
            first.append(shape)
    masks = Masks.from_image_runs(size, runs.values())
    known = [
        {
            **{key: shape[key] for key in _KEPT if key in shape},
            "label": shape.get("class_id", 0),
            "name": _name(shape),
        }
        for shape in first
    ]
    return records.with_columns(masks, known)


def _name(shape: dict[str, Any]) -> str:
    label = str(shape["label"])
    return "" if label == UNNAMED and shape.get("named") is False else label


def _image_runs(shape: dict[str, Any], size: Size) -> IntArray:
    kind = shape.get("shape_type") or "polygon"
    points = np.array(shape["points"], np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise FileFormatError(f"a {kind} of points that are not x and y: expected [[x, y], ...]")
    if kind == "mask":
        (x, y), window = _pasted(shape, points, size)
    else:
        y, window = _drawn(kind, points, size)
        x = 0
    height, width = window.shape
    if not window.size:
        return np.array([size.height * size.width], np.uint32)
    return rle.widen(rle.encode(window), (x, y, x + width, y + height), size.height, size.width)


def _pasted(
    shape: dict[str, Any], points: FloatArray, size: Size
) -> tuple[tuple[int, int], BoolArray]:
    """The corner and the pixels of a shape of type mask."""
    (x0, y0), (x1, y1) = np.trunc(points).tolist()
    if not (0 <= x0 <= x1 < size.width and 0 <= y0 <= y1 < size.height):
        raise FileFormatError(f"a mask with corners {points.tolist()}: expected them inside {size}")
    data = base64.b64decode(shape["mask"], validate=True)
    width, height = grey.png_size(data, "what it has for a mask")
    if (width, height) != (x1 - x0 + 1, y1 - y0 + 1):
        raise FileFormatError(
            f"a mask of {width}x{height} pixels in a box of {x1 - x0 + 1:g}x{y1 - y0 + 1:g}"
        )
    return (int(x0), int(y0)), grey.decode_png(data, "a mask in it") != 0


def _drawn(kind: str, points: FloatArray, size: Size) -> tuple[int, BoolArray]:
    """The first row of a shape and its pixels from there on."""
    figure, least, most = _FIGURES[kind]
    if not least <= len(points) <= most:
        raise FileFormatError(f"a {kind} of {len(points)} points: expected {least}")
    if kind == "rectangle":
        points = np.stack([points.min(axis=0), points.max(axis=0)])
    if kind == "circle":
        centre, radius = points[0], float(np.hypot(*(points[1] - points[0])))
        points = np.stack([centre - radius, centre + radius])
    return fill(figure, points, size)
