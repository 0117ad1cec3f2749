"""Connected parts of masks: small holes filled, small islands dropped.

Foreground touches by an edge or a corner (8 neighbours), background only by an edge (4): where two
parts meet at a corner they are one, and then the background must not pass between them. A hole is
background that does not reach the border of the image. Only the window of a mask is looked at.

Source: Kirillov et al. 2023, appendix B. segment-anything ``utils/amg.py``
(``remove_small_regions``) differs: 8 neighbours for both, and a gap at the border of the image is a
hole, too; :func:`without_small_regions` does as told, so ``compat`` can have that.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np

from samphire.arrays import BoolArray
from samphire.masks import rle
from samphire.masks.masks import Masks


def fill_holes(masks: Masks, max_area: int) -> Masks:
    """Masks whose holes of fewer than ``max_area`` pixels are filled.

    Scores stay those of before; ``edited`` becomes True where a mask changed.

    >>> ring = Masks.from_arrays([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]])
    >>> fill_holes(ring, 2).area.tolist(), fill_holes(ring, 1).area.tolist()
    ([9], [8])
    """

    def filled(window: BoolArray) -> BoolArray:
        # What reaches the edge of a tight box goes on outside of it, as far as the image's border.
        return without_small_regions(
            window, max_area, holes=True, connectivity=4, keep_border=True
        )[0]

    return _changed(masks, filled)


def drop_islands(masks: Masks, max_area: int) -> Masks:
    """Masks without their parts of fewer than ``max_area`` pixels.

    The largest part stays, however small it is: no mask becomes empty. Scores stay those of before;
    ``edited`` becomes True where a mask changed.

    >>> two = Masks.from_arrays([[[1, 1, 0, 1]]])
    >>> drop_islands(two, 2).boxes.tolist(), drop_islands(two, 9).area.tolist()
    ([[0, 0, 2, 1]], [2])
    """

    def rid(window: BoolArray) -> BoolArray:
        return without_small_regions(window, max_area, holes=False, connectivity=8)[0]

    return _changed(masks, rid)


def without_small_regions(
    window: BoolArray,
    max_area: int,
    *,
    holes: bool,
    connectivity: Literal[4, 8] = 8,
    keep_border: bool = False,
) -> tuple[BoolArray, bool]:
    """A mask without its small connected parts. The defaults are the published ways.

    Args:
        window: (H, W), a mask or a part of the image around it.
        max_area: a part of fewer pixels is small.
        holes: small parts of the background are filled; False: small parts of the mask are dropped,
            and of nothing but small ones the largest stays.
        connectivity: neighbours of a pixel, those at its edges or those at its corners, too.
        keep_border: parts that touch the border of the window stay as they are.

    Returns:
        the mask (H, W), and whether a part was small, even if it was the only one and stayed.
    """
    if not window.size:
        return window, False
    looked_at = ~window if holes else window
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        looked_at.astype(np.uint8), connectivity=connectivity
    )
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas < max_area
    small[0] = False  # label 0 is everything else
    if keep_border:
        left, top, width, height = stats[:, :4].T  # in the order of cv2's CC_STAT constants
        end_y, end_x = window.shape
        small &= (left > 0) & (top > 0) & (left + width < end_x) & (top + height < end_y)
    if not small.any():
        return window, False
    if not holes and small[1:].all():
        small[1 + np.argmax(areas[1:])] = False
    changed: BoolArray = small[labels]
    return (window | changed if holes else window & ~changed), True


def _changed(masks: Masks, change: Callable[[BoolArray], BoolArray]) -> Masks:
    """Masks with another window, which may become smaller."""
    boxes, runs, edited = masks.boxes.copy(), list(masks.runs), masks.edited.copy()
    for index, (x0, y0, _, y1) in enumerate(masks.boxes):
        if masks.area[index] == 0:
            continue
        before = masks.window(index)
        after = change(before)
        if after is before or np.array_equal(after, before):
            continue
        box, runs[index] = rle.narrow(rle.encode(after), int(y1 - y0))
        boxes[index] = np.add(box, [x0, y0, x0, y0])
        edited[index] = True
    return replace(masks, boxes=boxes, runs=tuple(runs), edited=edited)
