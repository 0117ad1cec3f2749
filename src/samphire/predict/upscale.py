"""Low-resolution logits -> a mask in the original frame.

Only the window that can hold the mask is computed: upscaling averages neighbours with weights
that are not negative, so no pixel exceeds the largest cell that it is made of. Where the model's
frame says that probabilities are averaged, the average is turned back into a logit: all that
follows knows logits only.
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import FloatArray, IntArray
from samphire.geometry import Averaged, Band, Frame, resize_weights
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
    rows, columns = resize_weights(frame)
    whole = rows.bands(0, rows.length), columns.bands(0, columns.length)
    return _average(logits, *whole, frame.averaged)


def reduce_mask(logits: FloatArray, frame: Frame) -> ReducedMask:
    """Cut one mask (S, S) out at logit 0, in the original frame."""
    rows, columns = resize_weights(frame)
    cells = logits > THRESHOLD - STABILITY_OFFSET
    top, bottom = rows.span(cells.max(axis=1))
    left, right = columns.span(cells.max(axis=0))
    part = rows.bands(top, bottom), columns.bands(left, right)
    window = _average(logits, *part, frame.averaged)
    (x0, y0, x1, y1), runs = rle.narrow(rle.encode(window > THRESHOLD), max(bottom - top, 1))
    box = (left + x0, top + y0, left + x1, top + y1) if x1 > x0 else (0, 0, 0, 0)
    score = stability_score(window, THRESHOLD, STABILITY_OFFSET)
    return ReducedMask(box=box, runs=runs, stability=float(score))


def _average(
    logits: FloatArray, rows: list[Band], columns: list[Band], averaged: Averaged
) -> FloatArray:
    """Logits (S, S) upscaled by bands without gaps of h rows and w columns: (h, w) float32."""
    if averaged == "logits":
        return _weighted(logits, rows, columns)
    # The share of "no" is averaged too, not taken from 1: near 1 float32 would lose it.
    decay = np.exp(-np.abs(np.clip(logits, -SUREST, SUREST)))
    likely, unlikely = 1 / (1 + decay), decay / (1 + decay)
    odds = np.log(_weighted(np.where(logits > 0, likely, unlikely), rows, columns))
    odds -= np.log(_weighted(np.where(logits > 0, unlikely, likely), rows, columns))
    return odds


def _weighted(cells: FloatArray, rows: list[Band], columns: list[Band]) -> FloatArray:
    """``rows @ cells @ columns.T``, band by band: (h, w) float32."""
    if not rows or not columns:
        return np.zeros((0, 0), np.float32)
    top, left = rows[0].pixels.start, columns[0].pixels.start
    averages = np.empty((rows[-1].pixels.stop - top, columns[-1].pixels.stop - left), np.float32)
    for row in rows:
        tall = row.weights @ cells[row.cells]
        strip = averages[row.pixels.start - top : row.pixels.stop - top]
        for column in columns:
            place = slice(column.pixels.start - left, column.pixels.stop - left)
            strip[:, place] = tall[:, column.cells] @ column.weights.T
    return averages
