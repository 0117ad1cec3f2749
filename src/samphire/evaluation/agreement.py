"""How well a predicted mask agrees with the true one: of one image, or of one volume.

Regions are compared by Dice and IoU, surfaces by HD95 and surface Dice, bands along the boundary
by boundary IoU. Every measure is defined for empty masks, by one rule:

    both empty        they agree        1, 1, 1, 1 and a distance of 0
    only one empty    they do not       0, 0, 0, 0 and the diagonal of the image as distance

Libraries leave such cases out or reward them: MONAI's DiceMetric skips an empty truth unless told
otherwise, its HD95 is NaN for a missed object, so that misses improve the mean, and the evaluation
of TransUNet gives Dice 1 to whatever is found where there is nothing.

Not for many cases (``summary.py``), not for Masks of one image, each against each
(``masks/overlap.py``), and not for finding the surfaces (``surfaces.py``).

Sources: Dice 1945 and Jaccard 1912; HD95 and surface Dice as MONAI's ``HausdorffDistanceMetric``
and ``SurfaceDiceMetric``, which count pixels of the surface (Nikolov et al. 2018, arXiv 1809.04430,
weigh them by area); Cheng et al. 2021, "Boundary IoU", section 4 and ``boundary_utils.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray
from samphire.errors import ShapeError, check_shape
from samphire.evaluation.surfaces import (
    SurfaceDistances,
    boundary_band,
    crop_to_both,
    surface_distances,
)


@dataclass(frozen=True)
class Agreement:
    """A predicted mask against the true one.

    Attributes:
        dice: 0 to 1.
        iou: 0 to 1.
        hausdorff_95: distance between the surfaces, in the unit of the spacing; the smaller, the
            better.
        surface_dice: 0 to 1.
        boundary_iou: 0 to 1; NaN for a volume, for which it is not defined.
        intersection: pixels (voxels) in both masks; those to ignore are left out here and below.
        predicted_pixels: in the predicted mask.
        true_pixels: in the true mask.
    """

    dice: float
    iou: float
    hausdorff_95: float
    surface_dice: float
    boundary_iou: float
    intersection: int
    predicted_pixels: int
    true_pixels: int

    @property
    def true_is_empty(self) -> bool:
        """There was nothing to find."""
        return self.true_pixels == 0

    @property
    def predicted_is_empty(self) -> bool:
        """Nothing was found."""
        return self.predicted_pixels == 0


def agreement(
    predicted: BoolArray,
    true: BoolArray,
    *,
    spacing: Sequence[float],
    tolerance: float = 2.0,
    ignore: BoolArray | None = None,
) -> Agreement:
    """All measures of one case.

    Args:
        predicted: (H, W) or (D, H, W), bool: logits are cut (``logits > 0``) by the caller.
        true: same shape, bool.
        spacing: distance of neighbours along each axis of the arrays, in millimetres say; ones
            for distances in pixels.
        tolerance: of surface Dice, >= 0, in the unit of the spacing; 2 is MedSAM's.
        ignore: same shape, bool: pixels that count neither way. They are taken out of both masks
            before anything is measured, and a mask that loses its last pixel is an empty one.

    Raises:
        TypeError: an array is not bool.
        ShapeError: not two or three axes, or the shapes differ.
        ValueError: a spacing or tolerance that is none.
        MissingExtraError: SciPy is not installed.

    >>> square = np.zeros((8, 8), np.bool_)
    >>> square[2:6, 2:6] = True
    >>> found = agreement(square, np.roll(square, 1, axis=1), spacing=(1, 1), tolerance=0)
    >>> found.dice, found.iou, found.hausdorff_95, found.true_pixels
    (0.75, 0.6, 1.0, 16)
    """
    predicted, true = _counted(predicted, true, ignore)
    distances = surface_distances(predicted, true, spacing)
    return Agreement(
        dice=dice(predicted, true),
        iou=iou(predicted, true),
        hausdorff_95=_hausdorff_95(distances),
        surface_dice=_surface_dice(distances, tolerance),
        boundary_iou=boundary_iou(predicted, true) if predicted.ndim == 2 else float("nan"),
        intersection=_count(predicted & true),
        predicted_pixels=_count(predicted),
        true_pixels=_count(true),
    )


def dice(predicted: BoolArray, true: BoolArray, ignore: BoolArray | None = None) -> float:
    """Twice the pixels in both masks over the sum of their pixels: 0 to 1, 1 if both are empty.

    Args:
        predicted: (H, W) or (D, H, W), bool.
        true: same shape, bool.
        ignore: same shape, bool: pixels that count neither way.

    Raises:
        TypeError: an array is not bool.
        ShapeError: not two or three axes, or the shapes differ.
    """
    predicted, true = _counted(predicted, true, ignore)
    return _ratio(2 * _count(predicted & true), _count(predicted) + _count(true))


def iou(predicted: BoolArray, true: BoolArray, ignore: BoolArray | None = None) -> float:
    """The pixels in both masks over those in either: 0 to 1, 1 if both are empty.

    Args and errors are those of :func:`dice`.
    """
    predicted, true = _counted(predicted, true, ignore)
    return _ratio(_count(predicted & true), _count(predicted | true))


def hausdorff_95(predicted: BoolArray, true: BoolArray, spacing: Sequence[float]) -> float:
    """HD95: how far all but a twentieth of each surface lie at most from the other one.

    The larger of two 95th percentiles (between two distances: interpolated): of the distances
    from the predicted surface to the true one, and back. A surface is the pixels of a mask with a
    neighbour along an axis outside it; outside the array is outside the mask.

    Args:
        predicted: (H, W) or (D, H, W), bool.
        true: same shape, bool.
        spacing: distance of neighbours along each axis.

    Returns:
        >= 0, in the unit of the spacing; 0 if both masks are empty, the diagonal of the array if
        only one is.

    Raises:
        TypeError: an array is not bool.
        ShapeError: not two or three axes, or the shapes differ.
        ValueError: a spacing that is none.
        MissingExtraError: SciPy is not installed.
    """
    return _hausdorff_95(surface_distances(*_counted(predicted, true, None), spacing))


def surface_dice(
    predicted: BoolArray, true: BoolArray, tolerance: float, spacing: Sequence[float]
) -> float:
    """NSD, normalised surface Dice: the share of both surfaces that lies near the other one.

    Args:
        predicted: (H, W) or (D, H, W), bool.
        true: same shape, bool.
        tolerance: the largest distance that is near, >= 0, in the unit of the spacing.
        spacing: distance of neighbours along each axis.

    Returns:
        0 to 1; 1 if both masks are empty, 0 if only one is.

    Raises:
        TypeError: an array is not bool.
        ShapeError: not two or three axes, or the shapes differ.
        ValueError: a spacing or tolerance that is none.
        MissingExtraError: SciPy is not installed.
    """
    return _surface_dice(surface_distances(*_counted(predicted, true, None), spacing), tolerance)


def boundary_iou(predicted: BoolArray, true: BoolArray, share: float = 0.02) -> float:
    """IoU of the bands inside the boundaries: large objects are judged by their edges.

    A band is what erosion takes from a mask: the pixels at most d rows and columns from a pixel
    outside it. Outside the image is outside the mask.

    Args:
        predicted: (H, W), bool.
        true: same shape, bool.
        share: d in diagonals of the image, rounded, one pixel at least.

    Returns:
        0 to 1; 1 if both masks are empty.

    Raises:
        TypeError: an array is not bool.
        ShapeError: not two axes, or the shapes differ.
    """
    check_shape(predicted, ("H", "W"), "predicted")
    predicted, true = _counted(predicted, true, None)
    width = max(1, round(share * float(np.hypot(*predicted.shape))))
    predicted, true = crop_to_both(predicted, true)
    return iou(boundary_band(predicted, width), boundary_band(true, width))


def _hausdorff_95(distances: SurfaceDistances) -> float:
    directed = [distances.from_predicted, distances.from_true]
    if not any(len(found) for found in directed):
        return 0.0
    if not all(len(found) for found in directed):
        return distances.diagonal
    return max(float(np.percentile(found, 95)) for found in directed)


def _surface_dice(distances: SurfaceDistances, tolerance: float) -> float:
    if not 0 <= tolerance < float("inf"):
        raise ValueError(f"tolerance is {tolerance}: expected a distance, 0 or more")
    found = np.concatenate([distances.from_predicted, distances.from_true])
    return _ratio(_count(found <= tolerance), len(found))


def _counted(
    predicted: BoolArray, true: BoolArray, ignore: BoolArray | None
) -> tuple[BoolArray, BoolArray]:
    """Both masks, checked, without the pixels to ignore."""
    if predicted.ndim not in {2, 3}:
        raise ShapeError(f"predicted has shape {predicted.shape}: expected (H, W) or (D, H, W)")
    _check_mask(predicted, predicted.shape, "predicted")
    _check_mask(true, predicted.shape, "true")
    if ignore is None:
        return predicted, true
    _check_mask(ignore, predicted.shape, "ignore")
    return predicted & ~ignore, true & ~ignore


def _check_mask(mask: npt.NDArray[Any], shape: tuple[int, ...], name: str) -> None:
    check_shape(mask, shape, name)
    if mask.dtype != np.bool_:
        raise TypeError(
            f"{name} is {mask.dtype}: expected bool; compare first, as in `logits > 0` or "
            "`labels == 1`"
        )


def _count(mask: BoolArray) -> int:
    return int(np.count_nonzero(mask))


def _ratio(part: int, whole: int) -> float:
    """Of nothing, nothing is missing: 1."""
    return part / whole if whole else 1.0
