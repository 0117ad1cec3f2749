"""YOLO's segmentation labels: a text file a picture, a line an object.

    class x1 y1 x2 y2 x3 y3 ...

The class is the mask's label; x and y are shares of the picture's width and height, at pixel
corners. A line is one ring: parts of a mask are joined by bridges without width, which enclose
nothing. Holes cannot be held and are filled. The file does not say the size of its picture.
Source: the segmentation format of Ultralytics' documentation.
"""

import re
from pathlib import Path

import numpy as np

from samphire.arrays import FloatArray
from samphire.errors import FileFormatError
from samphire.formats import records
from samphire.formats.format import Picture
from samphire.formats.prompt_records import counted
from samphire.geometry import Size
from samphire.images.read import read_image
from samphire.masks import Masks
from samphire.masks.contours import Polygon, from_polygons, polygons

# Shares lie between 0 and 1; drawn by people they may lie a little outside.
FARTHEST = 2


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The one file of a picture's masks; empty ones are left out."""
    del picture
    scale = np.array([masks.size.width, masks.size.height], np.float64)
    lines = []
    for index in np.flatnonzero(masks.area):
        ring = _one_ring(_outer_rings(masks, int(index)))
        numbers = " ".join(f"{value:.10g}" for value in (ring / scale).ravel())
        lines.append(f"{masks.label[index]} {numbers}\n")
    return ["".join(lines).encode()]


def losses(masks: Masks) -> tuple[str, ...]:
    """Holes, empty masks, names and scores."""
    parts = [polygons(masks, index) for index in range(len(masks))]
    holed = sum(any(part.holes for part in mine) for mine in parts)
    empty = int(np.count_nonzero(masks.area == 0))
    named = sum(bool(name) for name in masks.name)
    scored = int(np.count_nonzero(np.isfinite(masks.predicted_iou) | np.isfinite(masks.stability)))
    lines = [
        f"{counted(holed, 'mask', 'masks')} with holes, which YOLO cannot hold: they are filled"
        if holed
        else "",
        f"{counted(empty, 'empty mask', 'empty masks')}, which YOLO has no line for"
        if empty
        else "",
        f"{counted(named, 'mask', 'masks')} with a name, and YOLO has numbers alone"
        if named
        else "",
        f"{counted(scored, 'mask', 'masks')} with a score, which YOLO has no place for"
        if scored
        else "",
    ]
    return tuple(line for line in lines if line)


def read(path: Path, image: str | None = None) -> Masks:
    """The masks of a file.

    Args:
        path: of the file.
        image: the picture it is about, or its size, WIDTHxHEIGHT.

    Raises:
        FileFormatError: a line is none of an object, or the size is not known.
    """
    text = path.read_bytes()
    if image is None:
        raise FileFormatError(
            f"{path}: YOLO's files do not say the size of the picture; give the picture, or "
            "WIDTHxHEIGHT (image= in Python, --images on the command line)"
        )
    with records.reading(path, "lines of a class and at least three points"):
        size = _size(image)
        lines = text.decode("utf-8-sig").splitlines()
        rows = [line.split() for line in lines if line.strip()]
        for number, row in enumerate(rows, 1):
            if len(row) < 7 or len(row) % 2 == 0:
                raise FileFormatError(
                    f"line {number} that is not a class and at least three points"
                )
            if not all(abs(float(share)) <= FARTHEST for share in row[1:]):
                raise FileFormatError(
                    f"line {number} with coordinates that are no shares: expected 0 to 1"
                )
        scale = np.array([size.width, size.height], np.float64)
        rings = [np.array(row[1:], np.float64).reshape(-1, 2) * scale for row in rows]
        masks = from_polygons(size, [[Polygon(_on_corners(ring))] for ring in rings])
        return records.with_columns(masks, [{"label": int(row[0])} for row in rows])


def _outer_rings(masks: Masks, index: int) -> list[FloatArray]:
    """Those of the parts of a mask whose holes are filled; none lies inside of another."""
    parts = polygons(masks, index)
    if len(parts) > 1 and any(part.holes for part in parts):
        # an island in a hole would be a ring in a ring, off by the even-odd rule
        filled = from_polygons(masks.size, [[Polygon(part.outer) for part in parts]])
        parts = polygons(filled, 0)
    return [part.outer for part in parts]


def _one_ring(rings: list[FloatArray]) -> FloatArray:
    """Rings as one: there and back along a bridge to the first of each."""
    start = rings[0][:1]
    pieces = [rings[0]]
    for ring in rings[1:]:
        pieces += [start, ring, ring[:1]]
    return np.concatenate([*pieces, start]) if len(rings) > 1 else rings[0]


def _on_corners(ring: FloatArray) -> FloatArray:
    """What is a whole pixel but for the digits that were written is a whole pixel."""
    whole: FloatArray = np.rint(ring)
    close = np.abs(ring - whole) < 1e-4
    made: FloatArray = np.where(close, whole, ring)
    return made


def _size(image: str) -> Size:
    found = re.fullmatch(r"(\d{1,7})x(\d{1,7})", image)
    if found:
        return records.image_size({"width": int(found[1]), "height": int(found[2])})
    height, width, _ = read_image(image).shape
    return Size(height, width)
