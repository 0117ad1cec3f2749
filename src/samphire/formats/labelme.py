"""labelme's JSON: masks to look at and to edit in labelme, and what was drawn there.

A mask of one part without holes is a polygon through the centres of its border pixels, as labelme
fills polygons: border included. All others are shapes of the type ``mask``, a small picture at its
place. Both are exact. The label is the mask's name, or "object"; what else is known of a mask is
kept under the key ``samphire``, which labelme passes over and keeps.

Read are polygons, rectangles, circles and masks, filled as labelme fills them, but for coordinates
between pixels, which are rounded. Other shapes have no area and are left out.
Source: the files of labelme 6.3.
"""

import base64
import json
import logging
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import cv2
import numpy as np

from samphire.arrays import BoolArray
from samphire.errors import FileFormatError
from samphire.formats import grey, records
from samphire.formats.format import Picture, counted
from samphire.geometry import Size
from samphire.masks import Masks, rle

logger = logging.getLogger(__name__)

# The version whose files these are: labelme warns of files without one.
VERSION = "6.3.1"
NAMELESS = "object"
AREAS = ("polygon", "rectangle", "circle", "mask")


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The one file of a picture's masks; empty masks are left out."""
    masks = masks[masks.area > 0]
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


def losses(masks: Masks) -> tuple[str, ...]:
    """Empty masks have no shape."""
    empty = int(np.count_nonzero(masks.area == 0))
    return (f"{counted(empty, 'empty mask')}, which labelme has no shape for",) if empty else ()


def read(path: Path, image: str | None = None) -> Masks:
    """The shapes that have an area, as masks.

    Args:
        path: of the file.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: it is no such file.
    """
    del image
    with records.reading(path, "labelme's JSON"):
        document = json.loads(path.read_bytes())
        size = records.image_size(
            {"height": document["imageHeight"], "width": document["imageWidth"]}
        )
        shapes = [shape for shape in document["shapes"] if shape.get("shape_type") in AREAS]
        left_out = len(document["shapes"]) - len(shapes)
        if left_out:
            logger.warning("%s: %s without an area left out", path, counted(left_out, "shape"))
        windows = [_window(shape, size) for shape in shapes]
        masks = Masks.from_runs(
            size, [box for box, _ in windows], tuple(runs for _, runs in windows)
        )
        return records.with_columns(masks, [_columns(shape) for shape in shapes])


def read_picture(path: Path) -> Picture:
    """The picture that the file is about.

    Raises:
        FileFormatError: it is no such file.
    """
    with records.reading(path, "labelme's JSON"):
        link = PureWindowsPath(json.loads(path.read_bytes())["imagePath"]).as_posix()
        return Picture(PurePosixPath(link).name, link)


def _shape(masks: Masks, index: int) -> dict[str, Any]:
    x0, y0, x1, y1 = (int(edge) for edge in masks.boxes[index])
    window = masks.window(index)
    points = _outline(window)
    shape: dict[str, Any] = {
        "label": masks.name[index] or NAMELESS,
        "points": [[x + x0, y + y0] for x, y in points],
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
        "samphire": records.columns(masks, index),
    }
    if not points:
        shape["shape_type"] = "mask"
        shape["points"] = [[x0, y0], [x1 - 1, y1 - 1]]
        shape["mask"] = base64.b64encode(grey.mask_png(window)).decode()
    return shape


def _outline(window: BoolArray) -> list[list[int]]:
    """The polygon that fills to this mask; empty where there is none."""
    pixels = window.astype(np.uint8)
    outlines, _ = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if len(outlines) != 1 or len(outlines[0]) < 3:
        return []
    filled = cv2.fillPoly(np.zeros(pixels.shape, np.uint8), outlines, 1)
    points: list[list[int]] = outlines[0][:, 0].tolist()
    return points if np.array_equal(filled, pixels) else []


def _window(shape: dict[str, Any], size: Size) -> tuple[rle.Box, Any]:
    """The box and the runs of a shape, cut off at the picture's edges."""
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    if not (np.abs(points) < records.MAX_SIDE).all():
        raise FileFormatError(f"points {shape['points']!r:.60}: expected pixels of the picture")
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    if shape["shape_type"] == "circle":
        radius = np.hypot(*(points[1] - points[0]))
        low, high = np.floor(points[0] - radius), np.ceil(points[0] + radius)
    corner = np.clip(low, 0, [size.width - 1, size.height - 1]).astype(int)
    width, height = np.clip(high + 1 - corner, 1, [size.width, size.height] - corner).astype(int)
    filled = _filled(shape, np.rint(points).astype(int) - corner, (height, width))
    (x0, y0, x1, y1), runs = rle.narrow(rle.encode(filled), height)
    x, y = (int(edge) for edge in corner)
    return ((x0 + x, y0 + y, x1 + x, y1 + y) if x1 else (0, 0, 0, 0)), runs


def _filled(shape: dict[str, Any], points: Any, window: tuple[int, int]) -> BoolArray:  # noqa: ANN401
    """The shape's pixels in its window."""
    canvas = np.zeros(window, np.uint8)
    kind = shape["shape_type"]
    if kind == "polygon":
        if len(points) < 3:
            raise FileFormatError(f"a polygon of {len(points)} points: expected at least 3")
        cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    elif kind == "rectangle":
        (left, top), (right, bottom) = np.sort(points[:2], axis=0).clip(0)
        canvas[top : bottom + 1, left : right + 1] = 1
    elif kind == "circle":
        y, x = np.mgrid[: window[0], : window[1]]
        radius = np.hypot(*np.subtract(*np.array(shape["points"][:2], np.float64)))
        canvas[np.hypot(x - points[0, 0], y - points[0, 1]) <= radius] = 1
    else:
        picture = grey.decode_png(base64.b64decode(shape["mask"]), "a mask in it")
        left, top = points[0]
        cut = picture[max(-top, 0) :, max(-left, 0) :]
        place = canvas[max(top, 0) :, max(left, 0) :][: cut.shape[0], : cut.shape[1]]
        place[:] = cut[: place.shape[0], : place.shape[1]] != 0
    filled: BoolArray = canvas != 0
    return filled


def _columns(shape: dict[str, Any]) -> dict[str, Any]:
    """What is known of a shape; its label may have been changed in labelme."""
    known = dict(shape.get("samphire") or {})
    label = str(shape["label"])
    nameless = label == NAMELESS and not known.get("name")
    return known | {"name": "" if nameless else label, "parent": known.get("parent", -1)}
