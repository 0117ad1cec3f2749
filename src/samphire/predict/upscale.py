"""Low-resolution logits -> a mask in the original frame.

Only the window that can hold the mask is computed: upscaling averages neighbours with weights
that are not negative, so no pixel exceeds the largest cell that it is made of. Where the model's
frame says that probabilities are averaged, the average is turned back into a logit: all that
follows knows logits only.
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.geometry import Averaged, Frame, resize_weights
from samphire.masks import rle
from samphire.masks.scores import stability_score

# SAM cuts masks at logit 0 and moves the cut by 1 for the stability score.
THRESHOLD, STABILITY_OFFSET = 0.0, 1.0
# Beyond it a probability, or its product with a weight, is no normal float32 number.
SUREST = 60.0


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

    Source: ``Sam.postprocess_masks`` of segment-anything, see :func:`geometry.resize_weights`;
    for probabilities MedSAM ``MedSAM_Inference.py``.
    """
    return _average(logits, *resize_weights(frame), frame.averaged)


def reduce_mask(logits: FloatArray, frame: Frame) -> ReducedMask:
    """Cut one mask (S, S) out at logit 0, in the original frame."""
    rows, columns = resize_weights(frame)
    cells = logits > THRESHOLD - STABILITY_OFFSET
    top, bottom = _span((rows > 0) @ cells.any(axis=1))
    left, right = _span((columns > 0) @ cells.any(axis=0))
    window = _average(logits, rows[top:bottom], columns[left:right], frame.averaged)
    (x0, y0, x1, y1), runs = rle.narrow(rle.encode(window > THRESHOLD), max(bottom - top, 1))
    box = (left + x0, top + y0, left + x1, top + y1) if x1 > x0 else (0, 0, 0, 0)
    score = stability_score(window, THRESHOLD, STABILITY_OFFSET)
    return ReducedMask(box=box, runs=runs, stability=float(score))


def _average(
    logits: FloatArray, rows: FloatArray, columns: FloatArray, averaged: Averaged
) -> FloatArray:
    """Logits (S, S) upscaled by rows (H, S) and columns (W, S): (H, W) float32."""
    if averaged == "logits":
        full: FloatArray = rows @ logits @ columns.T
        return full
    # The share of "no" is averaged too, not taken from 1: near 1 float32 would lose it.
    decay = np.exp(-np.abs(np.clip(logits, -SUREST, SUREST)))
    likely, unlikely = 1 / (1 + decay), decay / (1 + decay)
    yes = rows @ np.where(logits > 0, likely, unlikely) @ columns.T
    no = rows @ np.where(logits > 0, unlikely, likely) @ columns.T
    odds: FloatArray = np.log(yes) - np.log(no)
    return odds


def _span(touched: BoolArray) -> tuple[int, int]:
    """First and one past the last index that is on; (0, 0) if none is."""
    where = np.flatnonzero(touched)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)
