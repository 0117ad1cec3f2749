"""What many agreements come to: means with intervals, pooled values, and the cases by kind.

A mean over cases gives a small object the weight of a large one; a pooled value gives each pixel
the same. Both are told, as is how often an object was missed or made up: a mean hides it.

Not for one case (``agreement.py``), and not for how an interval is drawn (``intervals.py``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from samphire.errors import ShapeError
from samphire.evaluation.agreement import Agreement
from samphire.evaluation.intervals import Interval, bootstrap_interval


@dataclass(frozen=True)
class Summary:
    """Agreements of many cases.

    Attributes:
        n: how many cases.
        n_true_empty: where there was nothing to find.
        n_missed: where there was something, and nothing was found.
        n_false: where there was nothing, and something was found.
        dice: mean over all cases, and its interval.
        iou: likewise.
        hausdorff_95: likewise; a missed or false case counts with the diagonal of its image.
        surface_dice: likewise.
        boundary_iou: likewise; None for volumes.
        dice_of_objects: Dice of the cases with something to find; None if there is none.
        pooled_dice: of all pixels of all cases together.
        pooled_iou: likewise.
    """

    n: int
    n_true_empty: int
    n_missed: int
    n_false: int
    dice: Interval
    iou: Interval
    hausdorff_95: Interval
    surface_dice: Interval
    boundary_iou: Interval | None
    dice_of_objects: Interval | None
    pooled_dice: float
    pooled_iou: float


def summarise(
    agreements: Sequence[Agreement],
    groups: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Summary:
    """Sum up agreements; nothing depends on their order.

    Args:
        agreements: N cases, all of them images or all volumes, distances in one unit.
        groups: (N,), to which group (patient, slide, video) each belongs.
        level: of the intervals, see :func:`bootstrap_interval`.
        draws: likewise.
        seed: likewise.

    Raises:
        ShapeError: the lengths differ.
        ValueError: no cases, or images and volumes together.
    """
    if len(agreements) != len(groups):
        raise ShapeError(
            f"{len(agreements)} agreements for {len(groups)} groups: expected one each"
        )
    if not agreements:
        raise ValueError("agreements is empty: expected one case at least")

    def interval(values: Sequence[float], owners: Sequence[str] = groups) -> Interval:
        return bootstrap_interval(values, owners, level=level, draws=draws, seed=seed)

    objects = [
        (found.dice, group)
        for found, group in zip(agreements, groups, strict=True)
        if not found.true_is_empty
    ]
    shared = sum(found.intersection for found in agreements)
    pixels = sum(found.predicted_pixels + found.true_pixels for found in agreements)
    return Summary(
        n=len(agreements),
        n_true_empty=sum(found.true_is_empty for found in agreements),
        n_missed=sum(found.predicted_is_empty and not found.true_is_empty for found in agreements),
        n_false=sum(found.true_is_empty and not found.predicted_is_empty for found in agreements),
        dice=interval([found.dice for found in agreements]),
        iou=interval([found.iou for found in agreements]),
        hausdorff_95=interval([found.hausdorff_95 for found in agreements]),
        surface_dice=interval([found.surface_dice for found in agreements]),
        boundary_iou=None
        if _are_volumes(agreements)
        else interval([found.boundary_iou for found in agreements]),
        dice_of_objects=interval(*zip(*objects, strict=True)) if objects else None,
        pooled_dice=2 * shared / pixels if pixels else 1.0,
        pooled_iou=shared / (pixels - shared) if pixels else 1.0,
    )


def _are_volumes(agreements: Sequence[Agreement]) -> bool:
    volumes = sum(math.isnan(found.boundary_iou) for found in agreements)
    if volumes not in {0, len(agreements)}:
        raise ValueError(
            f"{volumes} of {len(agreements)} cases are volumes: expected all or none; sum up "
            "images and volumes apart"
        )
    return volumes > 0
