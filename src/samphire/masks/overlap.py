"""How much masks and boxes overlap, and which of rivals stay.

Masks are compared by their run lengths: where a mask's runs start and end, how many of its pixels
come before a place in the image is a number that only grows, straight between those places. So the
pixels that another mask shares with it are differences of that number at the other's own edges.
No pixel is looked at, and masks whose boxes are apart cost nothing.

Not for making new masks of two (``algebra.py``). Source of suppression: Kirillov et al. 2023,
appendix B, which compares boxes.
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.errors import check_shape
from samphire.masks.masks import Masks


def intersection_area(left: Masks, right: Masks) -> IntArray:
    """Pixels that each mask of the left shares with each of the right: (N, M) int64.

    Raises:
        ValueError: the images have different sizes.

    >>> disc = Masks.from_arrays([[[0, 1, 1], [0, 1, 1]]])
    >>> intersection_area(disc, Masks.from_arrays([[[1, 1, 0], [0, 0, 0]]])).tolist()
    [[1]]
    """
    if left.size != right.size:
        raise ValueError(
            f"masks on {left.size} and on {right.size}: expected masks on images of one size"
        )
    near = _boxes_meet(left.boxes, right.boxes)
    edges = [_edges(right, index) if near[:, index].any() else _NONE for index in range(len(right))]
    shared = np.zeros((len(left), len(right)), np.int64)
    for index in range(len(left)):
        others = np.flatnonzero(near[index])
        if len(others):
            shared[index, others] = _shared(_edges(left, index), [edges[i] for i in others])
    return shared


def iou(left: Masks, right: Masks) -> FloatArray:
    """Intersection over union of each mask with each: (N, M) float64; 0 where both are empty.

    Raises:
        ValueError: the images have different sizes.
    """
    shared = intersection_area(left, right)
    union = left.area[:, None] + right.area[None, :] - shared
    ratio: FloatArray = shared / np.maximum(union, 1)
    return ratio


def containment(left: Masks, right: Masks) -> FloatArray:
    """The share of each left mask's pixels that lie in each right mask: (N, M) float64.

    An empty mask lies nowhere: 0.

    Raises:
        ValueError: the images have different sizes.
    """
    share: FloatArray = intersection_area(left, right) / np.maximum(left.area, 1)[:, None]
    return share


def box_iou(left: FloatArray | IntArray, right: FloatArray | IntArray) -> FloatArray:
    """Intersection over union of boxes (N, 4) with boxes (M, 4): (N, M) float64.

    Boxes are x0, y0, x1, y1, half-open, so a box of one pixel has the area 1. Two empty boxes have
    the IoU 0.
    """
    check_shape(left, ("N", 4), "left")
    check_shape(right, ("M", 4), "right")
    near, far = np.asarray(left, np.float64), np.asarray(right, np.float64)
    low = np.maximum(near[:, None, :2], far[None, :, :2])
    high = np.minimum(near[:, None, 2:], far[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    union = _box_areas(near)[:, None] + _box_areas(far)[None, :] - shared
    ratio = np.zeros(shared.shape)
    np.divide(shared, union, out=ratio, where=union > 0)
    return ratio


def box_nms(boxes: FloatArray | IntArray, order: IntArray, threshold: float) -> IntArray:
    """Non-maximum suppression: the boxes that stay.

    Args:
        boxes: (N, 4), as for :func:`box_iou`.
        order: indices of the boxes, the best first.
        threshold: a box goes if its IoU with a better one that stays is above it.

    Returns:
        indices of those that stay, the best first, int64.

    >>> box_nms(np.array([[0, 0, 9, 9], [0, 0, 9, 8], [5, 5, 9, 9]]), np.array([1, 0, 2]), 0.7)
    array([1, 2])
    """
    left, kept = np.asarray(order, np.int64), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[box_iou(boxes[best][None], boxes[left])[0] <= threshold]
    return np.array(kept, np.int64)


def mask_nms(
    masks: Masks, order: IntArray, max_iou: float, *, max_containment: float | None = None
) -> IntArray:
    """Non-maximum suppression by the masks themselves: a ring and its disc both stay.

    Args:
        masks: N rivals.
        order: their indices, the best first.
        max_iou: a mask goes if its IoU with a better one that stays is above it.
        max_containment: a mask goes, too, if the pixels that it shares with a better one that
            stays are more than this share of the smaller of the two. That drops the parts of a
            whole, or the whole of its parts; None: they stay.

    Returns:
        indices of those that stay, the best first, int64.
    """
    edges = [_edges(masks, index) for index in range(len(masks))]
    left, kept = np.asarray(order, np.int64), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        meet = np.flatnonzero(_boxes_meet(masks.boxes[best][None], masks.boxes[left])[0])
        shared = np.zeros(len(left), np.int64)
        if len(meet):
            shared[meet] = _shared(edges[best], [edges[index] for index in left[meet]])
        areas, own = masks.area[left], masks.area[best]
        goes = shared / np.maximum(areas + own - shared, 1) > max_iou
        if max_containment is not None:
            goes |= shared / np.maximum(np.minimum(areas, own), 1) > max_containment
        left = left[~goes]
    return np.array(kept, np.int64)


@dataclass(frozen=True, eq=False)
class _Edges:
    """Where a mask's runs start and end in the image, and its pixels before each such place.

    Attributes:
        places: (2R,) float64, start, end, start, end, ... of R runs, ascending.
        before: (2R,) float64.
    """

    places: FloatArray
    before: FloatArray


_NONE = _Edges(np.zeros(0), np.zeros(0))


def _edges(masks: Masks, index: int) -> _Edges:
    runs = masks.image_runs(index)
    places = np.cumsum(runs, dtype=np.float64)[: len(runs) // 2 * 2]
    before = np.zeros(len(places))
    before[1::2] = np.cumsum(runs[1::2], dtype=np.float64)
    before[2::2] = before[1:-1:2]
    return _Edges(places, before)


def _shared(own: _Edges, others: list[_Edges]) -> IntArray:
    """Pixels that a mask shares with each of the others."""
    if not len(own.places):
        return np.zeros(len(others), np.int64)
    places = np.concatenate([other.places for other in others])
    before = np.interp(places, own.places, own.before)
    total = np.concatenate([[0], np.cumsum(before[1::2] - before[::2])])
    ends = np.cumsum([len(other.places) // 2 for other in others])
    shared: IntArray = np.rint(np.diff(total[ends], prepend=0)).astype(np.int64)
    return shared


def _boxes_meet(left: IntArray, right: IntArray) -> BoolArray:
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    meet_x, meet_y = np.moveaxis(low < high, -1, 0)
    meet: BoolArray = meet_x & meet_y
    return meet


def _box_areas(boxes: FloatArray) -> FloatArray:
    areas: FloatArray = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=-1)
    return areas
