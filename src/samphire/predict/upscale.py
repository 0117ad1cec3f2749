"""Low-resolution logits -> a mask in the original frame.

Only the window that can hold the mask is computed: upscaling averages neighbours with weights
that are not negative, so no pixel exceeds the largest cell that it is made of.
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.geometry import Frame, resize_weights
from samphire.masks import rle
from samphire.masks.scores import stability_score

# SAM cuts masks at logit 0 and moves the cut by 1 for the stability score.
THRESHOLD, STABILITY_OFFSET = 0.0, 1.0


@dataclass(frozen=True, eq=False)
class ReducedMask:
    """One mask, small.

    Attributes:
        box: tight, x0, y0, x1, y1 in original pixels, half-open; zeros if the mask is empty.
        runs: run lengths inside the box, uint32.
        stability: see ``masks/scores.py``.
    """

    box: rle.Box
    runs: IntArray
    stability: float


def upscale(logits: FloatArray, frame: Frame) -> FloatArray:
    """Logits (S, S) in the original frame: (H, W) float32.

    Source: ``Sam.postprocess_masks`` of segment-anything, see :func:`geometry.resize_weights`.
    """
    rows, columns = resize_weights(frame)
    full: FloatArray = rows @ logits @ columns.T
    return full


def reduce_mask(logits: FloatArray, frame: Frame) -> ReducedMask:
    """Cut one mask (S, S) out at logit 0, in the original frame."""
    rows, columns = resize_weights(frame)
    cells = logits > THRESHOLD - STABILITY_OFFSET
    top, bottom = _span((rows > 0) @ cells.any(axis=1))
    left, right = _span((columns > 0) @ cells.any(axis=0))
    window: FloatArray = rows[top:bottom] @ logits @ columns[left:right].T
    (x0, y0, x1, y1), runs = rle.narrow(rle.encode(window > THRESHOLD), max(bottom - top, 1))
    box = (left + x0, top + y0, left + x1, top + y1) if x1 > x0 else (0, 0, 0, 0)
    score = stability_score(window, THRESHOLD, STABILITY_OFFSET)
    return ReducedMask(box=box, runs=runs, stability=float(score))


def _span(touched: BoolArray) -> tuple[int, int]:
    """First and one past the last index that is on; (0, 0) if none is."""
    where = np.flatnonzero(touched)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)
