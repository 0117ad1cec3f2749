"""Masks of one size on an image of another: the nearest pixel, inside their windows.

A new pixel is on where the old pixel under its centre is on. Not for logits, which are upscaled
smoothly (``predict/upscale.py``).
"""

from dataclasses import replace

import numpy as np

from samphire.arrays import IntArray
from samphire.geometry import Size
from samphire.masks import rle
from samphire.masks.masks import Masks
from samphire.masks.rle import Box


def resize(masks: Masks, size: Size) -> Masks:
    """The same masks on an image of another size.

    Pixel i of an axis reads the old pixel ``floor((i + 0.5) * old / new)``. ``point`` and
    ``crop_box`` are scaled, the latter to the whole pixels around it; scores stay those of before,
    and ``edited`` becomes True if the size differs. What is thinner than a new pixel may vanish.

    >>> resize(Masks.from_arrays([[[0, 1]]]), Size(2, 4)).boxes.tolist()
    [[2, 0, 4, 2]]
    """
    old = masks.size
    if size == old:
        return masks
    across, down = _sources(old.width, size.width), _sources(old.height, size.height)
    windows = [_resized(masks, index, across, down) for index in range(len(masks))]
    factors = np.array([size.width / old.width, size.height / old.height])
    return replace(
        masks,
        size=size,
        boxes=np.array([box for box, _ in windows], np.int32).reshape(-1, 4),
        runs=tuple(runs for _, runs in windows),
        point=masks.point * factors,
        crop_box=_around(masks.crop_box, old, size),
        edited=np.ones(len(masks), np.bool_),
    )


def _sources(old: int, new: int) -> IntArray:
    """Which old pixel of an axis each new one reads, (new,) int64, never descending."""
    sources: IntArray = (2 * np.arange(new, dtype=np.int64) + 1) * old // (2 * new)
    return sources


def _resized(masks: Masks, index: int, across: IntArray, down: IntArray) -> tuple[Box, IntArray]:
    x0, y0, x1, y1 = (int(edge) for edge in masks.boxes[index])
    (left, right), (top, bottom) = (
        np.searchsorted(across, [x0, x1]),
        np.searchsorted(down, [y0, y1]),
    )
    rows, columns = down[top:bottom] - y0, across[left:right] - x0
    window = masks.window(index)[rows][:, columns]
    box, runs = rle.narrow(rle.encode(window), len(rows))
    if not rle.area(runs):
        return (0, 0, 0, 0), runs
    return (box[0] + left, box[1] + top, box[2] + left, box[3] + top), runs


def _around(boxes: IntArray, old: Size, new: Size) -> IntArray:
    """Half-open boxes (N, 4) scaled to the whole pixels around them."""
    news = np.array([new.width, new.height])
    olds = np.array([old.width, old.height])
    given = boxes.astype(np.int64)
    return np.concatenate([given[:, :2] * news // olds, -(-given[:, 2:] * news // olds)], axis=1)
