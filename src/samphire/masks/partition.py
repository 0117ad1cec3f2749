"""Masks that overlap as one map in which each pixel belongs to one mask."""

import numpy as np

from samphire.arrays import IntArray
from samphire.masks.masks import Masks


def partition(masks: Masks) -> IntArray:
    """A label map, (H, W) int32: 0 is background, otherwise one more than the mask's index.

    Smaller masks lie on larger ones, and of masks of one area the later lies on top. A mask that
    others cover wholly is not in the map. It is painted window by window: 4 bytes a pixel, whatever
    the number of masks.

    >>> partition(Masks.from_arrays([[[0, 1, 0]], [[1, 1, 0]]])).tolist()
    [[2, 1, 0]]
    """
    label_map = np.zeros((masks.size.height, masks.size.width), np.int32)
    for index in np.argsort(-masks.area, kind="stable"):
        x0, y0, x1, y1 = masks.boxes[index]
        np.copyto(label_map[y0:y1, x0:x1], index + 1, where=masks.window(index), casting="unsafe")
    return label_map
