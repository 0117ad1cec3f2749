"""Surfaces of masks, bands along their boundaries, and how far two surfaces are apart.

A surface is the pixels of a mask that touch a pixel outside it face to face; a band is those at
most some rows and columns from one. Outside the array is outside the mask, so that an object cut
off by the border of the image ends there.

Not for the measures made of them (``agreement.py``). Sources: MONAI ``metrics/utils.py``
(``get_mask_edges``), which takes the same pixels; Cheng et al. 2021, "Boundary IoU",
``boundary_utils.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from samphire.arrays import BoolArray, FloatArray
from samphire.errors import MissingExtraError


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """How far each pixel of a surface lies from the nearest of the other surface.

    Attributes:
        from_predicted: (P,) float64, one a pixel of the predicted surface, in the unit of the
            spacing; infinity where there is no true surface.
        from_true: (T,) float64, the way back.
        diagonal: of the array, in the same unit.
    """

    from_predicted: FloatArray
    from_true: FloatArray
    diagonal: float


def surface_distances(
    predicted: BoolArray, true: BoolArray, spacing: Sequence[float]
) -> SurfaceDistances:
    """Measure both surfaces, each from the other.

    Args:
        predicted: (H, W) or (D, H, W), bool.
        true: same shape, bool.
        spacing: distance of neighbours along each axis.

    Raises:
        ValueError: a spacing that is none.
        MissingExtraError: SciPy is not installed.

    >>> left, right = np.array([[True, False, False]]), np.array([[False, False, True]])
    >>> surface_distances(left, right, (1, 0.5)).from_predicted.tolist()
    [1.0]
    """
    steps = np.asarray(spacing, np.float64)
    if steps.shape != (predicted.ndim,) or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(
            f"spacing is {spacing}: expected {predicted.ndim} distances above 0, one an axis"
        )
    # Both surfaces lie in the box around both masks: no distance needs more than that.
    surfaces = [_surface(mask) for mask in crop_to_both(predicted, true)]
    return SurfaceDistances(
        from_predicted=_distances(surfaces[0], surfaces[1], steps),
        from_true=_distances(surfaces[1], surfaces[0], steps),
        diagonal=float(np.linalg.norm(steps * predicted.shape)),
    )


def boundary_band(mask: BoolArray, width: int) -> BoolArray:
    """The pixels of a mask (H, W) at most ``width`` rows and columns from one outside it.

    >>> boundary_band(np.ones((3, 4), np.bool_), 1).astype(int).tolist()
    [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    """
    if not mask.size:
        return mask
    inner = cv2.erode(
        mask.astype(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=width,
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return mask & ~inner.astype(np.bool_)


def crop_to_both(predicted: BoolArray, true: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Two masks of one shape in the box around both; without pixels if both are empty."""
    either = predicted | true
    box = []
    for axis in range(either.ndim):
        others = tuple(other for other in range(either.ndim) if other != axis)
        places = np.flatnonzero(either.any(axis=others))
        box.append(slice(places[0], places[-1] + 1) if len(places) else slice(0))
    return predicted[tuple(box)], true[tuple(box)]


def _surface(mask: BoolArray) -> BoolArray:
    inner: BoolArray = _ndimage().binary_erosion(mask)  # faces touch, corners do not
    return mask & ~inner


def _distances(surface: BoolArray, other: BoolArray, steps: FloatArray) -> FloatArray:
    if not other.any():
        return np.full(np.count_nonzero(surface), np.inf)
    to_other: FloatArray = _ndimage().distance_transform_edt(~other, sampling=steps)
    return to_other[surface]


def _ndimage() -> Any:  # noqa: ANN401 - SciPy has no types of its own
    try:
        from scipy import ndimage  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError(
            "distances between surfaces are SciPy's, which is not installed: "
            "pip install 'samphire[tune]'"
        ) from error
    return ndimage
