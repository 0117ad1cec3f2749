"""Masks as polygons along the edges of their pixels, and masks of any polygons.

Coordinates are those of pixel corners: pixel (x, y) covers [x, x + 1) x [y, y + 1), so a polygon
encloses exactly the area of its mask and gives exactly this mask back. Not for outlines through the
centres of pixels, one pixel smaller: those are OpenCV's ``findContours``.

Both ways are scanlines down the columns, like run lengths, and make no picture. A pixel belongs to
a polygon if its centre lies inside by the even-odd rule; a centre on an edge belongs to the side
with the larger x, or y.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray, read_only, same_array
from samphire.errors import check_shape
from samphire.geometry import Size
from samphire.masks import rle
from samphire.masks.masks import Masks

# Beyond this a coordinate is a mistake; float64 still tells a millionth of a pixel here.
FARTHEST = 1e9
# Each column that an edge crosses takes about 100 bytes, and a few letters can cross a wide picture
# many times. A mask of noise on 20 megapixels has ten million crossings.
MAX_CROSSINGS = 1 << 24


@dataclass(frozen=True, eq=False)
class Polygon:
    """One connected part of a mask: a ring around it and one around each of its holes.

    A ring is closed by itself: its last vertex is not its first. Those of :func:`polygons` go
    clockwise on the screen around the part, and counter-clockwise around holes.

    Attributes:
        outer: (V, 2) float64, x and y in pixels of the original, at pixel corners.
        holes: (V, 2) float64 each.

    Raises:
        ShapeError: a ring has another shape.
        ValueError: a coordinate is not a number, or farther than ``FARTHEST``.
    """

    outer: FloatArray
    holes: tuple[FloatArray, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "outer", read_only(self.outer, np.float64))
        object.__setattr__(self, "holes", tuple(read_only(hole, np.float64) for hole in self.holes))
        for ring in self.rings:
            check_shape(ring, ("V", 2), "ring")
            if not (np.abs(ring) <= FARTHEST).all():
                raise ValueError(
                    f"a polygon has coordinates that are not numbers between -{FARTHEST:g} and "
                    f"{FARTHEST:g}: expected pixels of the image"
                )

    def __repr__(self) -> str:
        return f"Polygon({len(self.outer)} vertices, {len(self.holes)} holes)"

    @property
    def rings(self) -> tuple[FloatArray, ...]:
        """The outer ring, then the holes."""
        return (self.outer, *self.holes)

    def equal(self, other: "Polygon") -> bool:
        """The same rings with the same vertices in the same order."""
        return len(self.holes) == len(other.holes) and all(map(same_array, self.rings, other.rings))


def polygons(masks: Masks, index: int) -> tuple[Polygon, ...]:
    """The parts of one mask, exactly: one polygon a part.

    Pixels that touch at a corner are one part; its ring passes the corner twice. Parts and holes
    are in the order of their first pixel down the columns, left to right, and each ring starts at
    the upper left corner of that pixel. Vertices are corners only.

    >>> corner = polygons(Masks.from_arrays([[[1, 1], [1, 0]]]), 0)[0]
    >>> corner.outer.tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0], [1.0, 2.0], [0.0, 2.0]]
    """
    x0, y0, _, y1 = (int(edge) for edge in masks.boxes[index])
    spans = rle.spans(masks.runs[index], y1 - y0)
    if not len(spans[0]):
        return ()
    corners = _corners(*spans)
    rings = _rings(corners.successor)
    outers: list[FloatArray] = []
    holes: list[list[FloatArray]] = []
    for ring, part in zip(rings, _parts(corners, rings, spans), strict=True):
        vertices = np.stack([corners.x[ring] + x0, corners.y[ring] + y0], axis=1).astype(np.float64)
        if part == len(outers):
            outers.append(vertices)
            holes.append([])
        else:
            holes[part].append(vertices)
    return tuple(Polygon(outer, tuple(inner)) for outer, inner in zip(outers, holes, strict=True))


def from_polygons(size: Size, parts: Sequence[Sequence[Polygon]]) -> Masks:
    """Masks of polygons: one mask for each sequence of them.

    A pixel is on if its centre is inside of one of the polygons, by the even-odd rule over all
    rings of that polygon, which may cross themselves and each other. What lies outside the image
    is cut off. Polygons that share an edge share no pixel and leave none out.

    Raises:
        ValueError: the edges of a mask cross more than ``MAX_CROSSINGS`` columns.

    >>> triangle = Polygon(np.array([[0, 0], [4, 0], [0, 4]]))
    >>> from_polygons(Size(4, 4), [[triangle]]).area.tolist()
    [6]
    """
    return Masks.from_image_runs(size, (_covered(size, polygons) for polygons in parts))


def simplified(polygon: Polygon, tolerance: float) -> Polygon:
    """A polygon with fewer vertices, by Douglas and Peucker's method.

    A ring that would be left with fewer than three vertices stays as it is.

    Args:
        polygon: its vertices that stay, stay where they are (up to a rounding to float32 where
            they are no whole numbers).
        tolerance: how far from the new ring the old one may lie, in pixels, >= 0; seldom it is up
            to half more, as OpenCV tidies up afterwards. At 0 only vertices on straight lines go.

    Raises:
        ValueError: the tolerance is negative or not finite.
    """
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance is {tolerance}: expected a number of pixels, at least 0")
    outer, *holes = (_simpler(ring, tolerance) for ring in polygon.rings)
    return Polygon(outer, tuple(holes))


def _simpler(ring: FloatArray, tolerance: float) -> FloatArray:
    if len(ring) <= 3:
        return ring
    origin = np.floor(ring.min(axis=0))  # float32 has more digits near it
    made = cv2.approxPolyDP(
        (ring - origin).astype(np.float32), min(tolerance, FARTHEST), closed=True
    )
    return ring if len(made) < 3 else made.reshape(-1, 2).astype(np.float64) + origin


@dataclass(frozen=True, eq=False)
class _Corners:
    """Where a mask's edge turns, by x, then y; a point where it turns twice is there twice.

    Attributes:
        x: (K,) int64 in the window.
        y: (K,) int64.
        below_right: (K,) bool, the pixel to the lower right is on; only where an edge goes right.
        level: (K,) int64, corners by y, then x: each two in a row are ends of a horizontal edge.
        successor: (K,) int64, the next corner of its ring, the mask being on the right hand.
    """

    x: IntArray
    y: IntArray
    below_right: BoolArray
    level: IntArray
    successor: IntArray


def _corners(column: IntArray, top: IntArray, bottom: IntArray) -> _Corners:
    """The corners of spans (``rle.spans``).

    A span has two horizontal sides, an upper and a lower one, one pixel wide. The edge turns where
    a side ends and the next column has none of the same kind at this height. Where the next column
    has one of the other kind, two pixels touch at a corner: it turns twice. Down a line of corners
    the first and the second, the third and the fourth, ... are ends of vertical edges, and likewise
    across. Where the edge turns twice, both its turns must go around the pixels that are off: then
    those that are on are one part.
    """
    sides = np.concatenate([column, column]), np.concatenate([top, bottom])
    upper = np.arange(2 * len(column)) < len(column)
    # Ends of sides: the left ones, each at its column, then the right ones, a column further.
    x, y = np.concatenate([sides[0], sides[0] + 1]), np.concatenate([sides[1], sides[1]])
    upper = np.concatenate([upper, upper])
    order = np.lexsort((y, x))  # stable: at one place the left end, of the pixels on the right
    x, y, upper = x[order], y[order], upper[order]
    twice = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    goes_on = twice & (upper[1:] == upper[:-1])
    turns = ~(np.append(goes_on, False) | np.insert(goes_on, 0, False))
    below_right = upper.copy()
    below_right[1:][twice] = upper[:-1][twice]
    x, y, upper, below_right = x[turns], y[turns], upper[turns], below_right[turns]
    level = np.lexsort((upper, x, y))
    left, right = level[0::2], level[1::2]
    successor = np.arange(len(x)) ^ 1  # the other end of the vertical edge
    rightward = below_right[left]
    successor[np.where(rightward, left, right)] = np.where(rightward, right, left)
    return _Corners(x, y, below_right, level, successor)


def _rings(successor: IntArray) -> list[list[int]]:
    """The cycles of a permutation, by their smallest member, which comes first."""
    following = successor.tolist()
    rings: list[list[int]] = []
    for start in range(len(following)):
        if following[start] < 0:
            continue
        ring, at = [], start
        while following[at] >= 0:
            ring.append(at)
            following[at], at = -1, following[at]
        rings.append(ring)
    return rings


def _parts(
    corners: _Corners, rings: list[list[int]], spans: tuple[IntArray, IntArray, IntArray]
) -> list[int]:
    """The part of each ring; where a part comes up first it is the part's outer ring.

    The first corner of a ring has its first pixel to the lower right: on for an outer ring, off for
    a hole. Left of a hole's first pixel is one of the part around it, and up from there an edge of
    the same part, whose ring starts further left: its part is known.
    """
    first = np.array([ring[0] for ring in rings])
    ring_of = np.empty(len(corners.x), np.int64)
    ring_of[np.concatenate(rings)] = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    column, top, bottom = spans
    tall, wide = int(bottom.max()) + 1, int(column.max()) + 2
    beside = corners.x[first] - 1
    span = np.searchsorted(column * tall + top, beside * tall + corners.y[first], side="right") - 1
    left_ends = corners.level[0::2]
    places = corners.y[left_ends] * wide + corners.x[left_ends]
    above = left_ends[np.searchsorted(places, top[span] * wide + beside, side="right") - 1]
    parts: list[int] = []
    count = 0
    for is_outer, ring in zip(corners.below_right[first], ring_of[above].tolist(), strict=True):
        parts.append(count if is_outer else parts[ring])
        count += bool(is_outer)
    return parts


def _covered(size: Size, polygons: Sequence[Polygon]) -> IntArray:
    """Image runs of the union of polygons."""
    crossings = sum(_crossings(size, polygon) for polygon in polygons)
    if crossings > MAX_CROSSINGS:
        raise ValueError(
            f"the polygons of a mask cross {crossings} columns of pixels: expected at most "
            f"{MAX_CROSSINGS}; simplify them"
        )
    pieces = [_pieces(size, polygon) for polygon in polygons]
    starts = np.concatenate([np.zeros(0, np.int64), *(piece[0] for piece in pieces)])
    ends = np.concatenate([np.zeros(0, np.int64), *(piece[1] for piece in pieces)])
    return rle.from_pieces(starts, ends, size.height * size.width)


def _crossings(size: Size, polygon: Polygon) -> int:
    """How often the edges cross the centre line of a column."""
    total = 0
    for ring in polygon.rings:
        column = np.clip(np.ceil(ring[:, 0] - 0.5), 0, size.width)
        total += int(np.abs(column - np.roll(column, 1)).sum())
    return total


def _pieces(size: Size, polygon: Polygon) -> tuple[IntArray, IntArray]:
    """Where a polygon is on, as starts and ends of pieces of columns, in the order of run lengths.

    Each edge crosses the centre lines of some columns; from the first pixel whose centre is not
    above the crossing the pixels are inside, until the next crossing.
    """
    start = np.concatenate(polygon.rings)
    stop = np.concatenate([np.roll(ring, -1, axis=0) for ring in polygon.rings])
    turned = (start[:, 0] > stop[:, 0])[:, None]  # an edge is cut alike in both directions
    left, right = np.where(turned, stop, start), np.where(turned, start, stop)
    limits = np.clip(np.ceil(np.stack([left[:, 0], right[:, 0]]) - 0.5), 0, size.width)
    first, counts = limits[0].astype(np.int64), (limits[1] - limits[0]).astype(np.int64)
    edge = np.repeat(np.arange(len(start)), counts)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    (x, y), (x_end, y_end) = left[edge].T, right[edge].T
    crossing = y + (column + 0.5 - x) / (x_end - x) * (y_end - y)
    row = np.clip(np.ceil(crossing - 0.5), 0, size.height).astype(np.int64)
    # By column, then row; the lowest row of a column and the top of the next are not the same.
    order = np.lexsort((row, column))
    place = column[order] * size.height + row[order]
    filled = place[0::2] < place[1::2]
    return place[0::2][filled], place[1::2][filled]
