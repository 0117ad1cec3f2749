"""A rough binary mask as a prompt: what the model's mask input wants instead of 0 and 1.

The model takes logits in its padded low-resolution square (previous answers, in training). A mask
drawn by a person has neither that shape nor that meaning.
"""

import itertools

import numpy as np

from samphire.arrays import BoolArray, FloatArray
from samphire.errors import check_shape
from samphire.geometry import Frame, coverage_weights

# A cell fully inside or outside: how sure a logit of log(0.999 / 0.001) = 6.9 is.
CERTAINTY = 1e-3


def mask_prompt_logits(mask: BoolArray, frame: Frame) -> FloatArray:
    """Low-resolution logits of a binary mask.

    Args:
        mask: (H, W) bool, of the original's size.
        frame: of the picture.

    Returns:
        (S, S) float32: the share of each cell that the mask covers, kept within ``CERTAINTY`` of
        0 and 1, as a logit; cells in the padding count as not covered.
    """
    share = np.clip(coverage(mask, frame), CERTAINTY, 1 - CERTAINTY)
    logits: FloatArray = np.log(share / (1 - share))
    return logits


def coverage(mask: BoolArray, frame: Frame) -> FloatArray:
    """The share of each low-resolution cell that a mask (H, W) covers, (S, S) float32.

    Cells in the padding are not covered.
    """
    check_shape(mask, (frame.original.height, frame.original.width), "mask")
    rows, columns = coverage_weights(frame)
    covered = np.zeros((frame.low_res_side, frame.low_res_side), np.float32)
    for row, column in itertools.product(rows, columns):
        part = mask[row.pixels, column.pixels].astype(np.float32)
        covered[row.cells, column.cells] += row.weights.T @ part @ column.weights
    return covered
