"""Parts of an image that everything mode looks at on their own: small objects become large.

Source: Kirillov et al. 2023, appendix B; segment-anything ``utils/amg.py``.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from samphire.arrays import BoolArray, IntArray
from samphire.geometry import Size


@dataclass(frozen=True)
class Crop:
    """A part of an image.

    Attributes:
        box: x0, y0, x1, y1 in original pixels, half-open.
        layer: 0 for the whole image; layer n has 2ⁿ crops a side.
    """

    box: tuple[int, int, int, int]
    layer: int

    @property
    def size(self) -> Size:
        """Of the part."""
        x0, y0, x1, y1 = self.box
        return Size(y1 - y0, x1 - x0)


def crops(size: Size, layers: int, overlap: float, *, min_side: int = 1) -> tuple[Crop, ...]:
    """The whole image, then the crops of each layer, column by column.

    Neighbours share ``overlap`` times the image's shorter side in the first layer, half of that in
    the second, and so on. On small images crops can come out empty or equal: those are left out.

    Args:
        size: of the image.
        layers: of crops below the whole image.
        overlap: see above, 0 <= overlap < 1.
        min_side: crops with a shorter side are left out, but never the whole image.

    Raises:
        ValueError: ``layers`` is negative, or ``overlap`` out of range.

    >>> [crop.box for crop in crops(Size(1200, 1800), 1, 512 / 1500)][1:3]
    [(0, 0, 1105, 805), (0, 396, 1105, 1200)]
    """
    if layers < 0:
        raise ValueError(f"crop_layers={layers}: expected 0 or more")
    if not 0 <= overlap < 1:
        raise ValueError(f"crop_overlap={overlap}: expected a share from 0 to below 1")
    found = {(0, 0, size.width, size.height): 0}
    for layer in range(1, layers + 1):
        shared = int(overlap * min(size.height, size.width) * (2 / 2**layer))
        columns = _intervals(size.width, 2**layer, shared)
        rows = _intervals(size.height, 2**layer, shared)
        for (x0, x1), (y0, y1) in itertools.product(columns, rows):
            if min(x1 - x0, y1 - y0) >= max(min_side, 1):
                found.setdefault((x0, y0, x1, y1), layer)
    return tuple(Crop(box, layer) for box, layer in found.items())


def _intervals(length: int, count: int, shared: int) -> list[tuple[int, int]]:
    """So many parts of an axis, each sharing so many pixels with the next."""
    part = math.ceil((shared * (count - 1) + length) / count)
    starts = [(part - shared) * index for index in range(count)]
    return [(start, min(start + part, length)) for start in starts]


def near_crop_edge(boxes: IntArray, crop: Crop, size: Size, distance: float) -> BoolArray:
    """Whether masks seem cut off by their crop: (N,) bool.

    Args:
        boxes: (N, 4) tight boxes in original pixels, half-open.
        crop: where they were found.
        size: of the image; at its own edges nothing is cut off.
        distance: a box is near an edge if its outermost pixel is at most so many pixels from it.
    """
    last = np.array([0, 0, 1, 1])  # the published code counts from the last pixel inside
    outermost = boxes - last
    at_crop = np.abs(outermost - np.array(crop.box)) <= distance
    at_image = np.abs(outermost - np.array([0, 0, size.width, size.height])) <= distance
    near: BoolArray = np.logical_or.reduce(at_crop & ~at_image, axis=1)
    return near
