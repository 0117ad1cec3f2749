"""Measures of masks against ground truth.

AR@1000, the average recall of object proposals: how many of the true objects are among the best
thousand masks of an image, averaged over how well they must fit. Source: Lin et al. 2014,
"Microsoft COCO"; pycocotools ``cocoeval.py``, which this equals with ``useCats=0``; Kirillov et
al. 2023, section 7.3, reports it for SAM.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.errors import check_shape
from samphire.masks import Masks
from samphire.masks.overlap import intersection_area

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# Pixels of the true object, both ends included.
AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


@dataclass(frozen=True, eq=False)
class Recall:
    """What proposals found in one image.

    Attributes:
        found: (A, T), true objects that were found, for each of ``AREAS`` and
            ``IOU_THRESHOLDS``.
        truths: (A,), objects that there were to find.
    """

    found: IntArray | FloatArray
    truths: IntArray | FloatArray


@dataclass(frozen=True)
class AverageRecall:
    """AR over some images; NaN where no image has an object of that size.

    Attributes:
        all: of all objects, 0 to 1.
        small: of those up to 32² pixels.
        medium: up to 96².
        large: above.
        truths: how many objects there were.
    """

    all: float
    small: float
    medium: float
    large: float
    truths: int


def recall(
    proposals: Masks,
    truth: Masks,
    crowd: BoolArray | None = None,
    *,
    max_proposals: int = 1000,
) -> Recall:
    """Which true objects of an image are among its best proposals.

    Proposals take objects in turn, the surest first; each takes the free object that fits it best,
    and each object is taken once.

    Args:
        proposals: N masks, ranked by ``predicted_iou``, equal ones by their place.
        truth: M masks of the true objects, on the same image.
        crowd: (M,) bool, which of them are groups: they need not be found, and a proposal inside
            one is not held against it. None: none are.
        max_proposals: the rest are not looked at.

    Raises:
        ValueError: the images have different sizes.
        ShapeError: ``crowd`` is not one a true object.
    """
    groups = np.zeros(len(truth), np.bool_) if crowd is None else np.asarray(crowd, np.bool_)
    check_shape(groups, (len(truth),), "crowd")
    best = np.argsort(-proposals.predicted_iou, kind="stable")[:max_proposals]
    fit = _fit(proposals[best], truth, groups)
    found, truths = [], []
    for least, most in AREAS.values():
        ignored = groups | (truth.area < least) | (truth.area > most)
        found.append([_taken(fit, groups, ignored, limit) for limit in IOU_THRESHOLDS])
        truths.append(np.count_nonzero(~ignored))
    return Recall(np.array(found, np.int64), np.array(truths, np.int64))


def average_recall(images: Sequence[Recall]) -> AverageRecall:
    """AR of all objects of some images together."""
    nothing = Recall(np.zeros((len(AREAS), len(IOU_THRESHOLDS))), np.zeros(len(AREAS)))
    truths = np.sum([image.truths for image in (nothing, *images)], axis=0)
    found = np.sum([image.found for image in (nothing, *images)], axis=0)
    shares = np.full(len(AREAS), np.nan)
    np.divide(found.mean(axis=1), truths, out=shares, where=truths > 0)
    every, small, medium, large = shares.tolist()
    return AverageRecall(every, small, medium, large, int(truths[0]))


def _fit(proposals: Masks, truth: Masks, groups: BoolArray) -> FloatArray:
    """IoU (N, M); with a group, the share of the proposal that lies in it."""
    shared = intersection_area(proposals, truth)
    own = np.broadcast_to(proposals.area[:, None], shared.shape)
    union = own + truth.area[None, :] - shared
    fit: FloatArray = shared / np.maximum(np.where(groups[None, :], own, union), 1)
    return fit


def _taken(fit: FloatArray, groups: BoolArray, ignored: BoolArray, threshold: float) -> int:
    """How many objects that count are taken at this threshold."""
    free = np.ones(fit.shape[1], np.bool_)
    for row in fit:
        # an object that counts is preferred, however well one that does not fits
        for objects in (np.flatnonzero(free & ~ignored), np.flatnonzero((free | groups) & ignored)):
            fits = objects[row[objects] >= min(threshold, 1 - 1e-10)]
            if len(fits):
                # of equal ones the last, as the published loop has it
                free[fits[np.flatnonzero(row[fits] == row[fits].max())[-1]]] = False
                break
    return int(np.count_nonzero(~free & ~ignored))
