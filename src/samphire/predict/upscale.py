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


def reduce_mask(
    logits: FloatArray,
    frame: Frame,
    *,
    threshold: float = THRESHOLD,
    stability_offset: float = STABILITY_OFFSET,
) -> ReducedMask:
    """Cut one mask (S, S) out, in the original frame.

    The logits of the window are made in strips of a few columns, and the runs of each strip are
    joined: a mask as large as a 50-megapixel picture takes 2 MB, not 200, and strips stay in the
    processor's cache.

    Args:
        logits: (S, S) float32, low resolution.
        frame: of the picture.
        threshold: a pixel is on if its logit is above.
        stability_offset: see ``masks/scores.py``, > 0.
    """
    rows, columns = resize_weights(frame)
    cells = logits > threshold - stability_offset
    top, bottom = rows.span(cells.max(axis=1))
    left, right = columns.span(cells.max(axis=0))
    height, tall = bottom - top, rows.bands(top, bottom)
    runs: list[IntArray] = [np.zeros(1, np.uint32)]
    inner = outer = 0
    for column in columns.bands(left, right):
        strip = _average(logits, tall, [column], frame.averaged)
        runs.append(rle.encode(strip > threshold))
        inner += int(np.count_nonzero(strip > threshold + stability_offset))
        outer += int(np.count_nonzero(strip > threshold - stability_offset))
    (x0, y0, x1, y1), tight = rle.narrow(rle.join(runs), max(height, 1))
    box = (left + x0, top + y0, left + x1, top + y1) if x1 > x0 else (0, 0, 0, 0)
    return ReducedMask(box=box, runs=tight, stability=inner / max(outer, 1))


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
