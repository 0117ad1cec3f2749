"""Scores of a mask that need no ground truth."""

import numpy as np

from samphire.arrays import FloatArray
from samphire.errors import ShapeError


def stability_score(logits: FloatArray, threshold: float = 0.0, offset: float = 1.0) -> FloatArray:
    """How little each mask changes when its threshold moves by ``offset`` logits.

    The score is the IoU of the mask cut at ``threshold + offset`` with the one cut at
    ``threshold - offset``. The first lies inside the second: the IoU is a ratio of areas.

    Args:
        logits: mask logits, (..., H, W), float32, any frame or resolution.
        threshold: logit that separates mask from background; SAM uses 0.
        offset: half-width of the band, in logits, > 0; SAM uses 1.

    Returns:
        (...,) float32 in [0, 1]. If the larger mask is empty the score is 0, not NaN.

    Raises:
        ShapeError: ``logits`` has fewer than two axes.
        ValueError: ``offset`` is not positive.

    Source: Kirillov et al. 2023, section 4 and appendix B; differs from segment-anything
    ``utils/amg.py`` (``calculate_stability_score``) in the empty case, where that gives 0/0.

    >>> float(stability_score(np.array([[9.0, 0.5], [-9.0, -9.0]], np.float32)))
    0.5
    """
    if logits.ndim < 2:
        raise ShapeError(f"logits has shape {logits.shape}: expected (..., H, W)")
    if not offset > 0:
        raise ValueError(f"offset is {offset}: expected a positive number of logits")
    inner = np.count_nonzero(logits > threshold + offset, axis=(-2, -1))
    outer = np.count_nonzero(logits > threshold - offset, axis=(-2, -1))
    return np.asarray(inner / np.maximum(outer, 1), np.float32)
