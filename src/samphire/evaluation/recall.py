"""Measures of masks against ground truth.

AR@1000, the average recall of object proposals: how many of the true objects are among the best
thousand masks of an image, averaged over how well they must fit. Source: Lin et al. 2014,
"Microsoft COCO"; pycocotools ``cocoeval.py``, which this equals with ``useCats=0``; Kirillov et
al. 2023, section 7.3, reports it for SAM.

COCO's matching also follows proposals that fall on crowds and on objects of another size, which
precision needs. Recall does not: an object that counts is always taken before one that does not, so
those others are left out here, and the numbers are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.errors import check_shape
from samphire.masks import Masks
from samphire.masks.overlap import iou

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
    """AR over some images; NaN where no image has an object of that size (pycocotools says -1).

    Attributes:
        all: of all objects, 0 to 1.
        small: of those up to 32² pixels.
        medium: of those from 32² to 96².
        large: of those from 96²; an object of just 32² or 96² pixels counts on both sides.
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
    of equal ones the last, and each object is taken once.

    Args:
        proposals: N masks, ranked by ``predicted_iou``, equal ones by their place; NaN comes last.
        truth: M masks of the true objects, on the same image. Their size is that of the mask,
            where COCO's files may tell an ``area`` of their own.
        crowd: (M,) bool, which of them are groups, that need not be found. None: none are.
        max_proposals: the rest are not looked at.

    Raises:
        ValueError: the images have different sizes.
        ShapeError: ``crowd`` is not one a true object.
    """
    groups = np.zeros(len(truth), np.bool_) if crowd is None else np.asarray(crowd, np.bool_)
    check_shape(groups, (len(truth),), "crowd")
    best = np.argsort(-proposals.predicted_iou, kind="stable")[:max_proposals]
    fit = iou(proposals[best], truth)
    found, truths = [], []
    for least, most in AREAS.values():
        counts = ~groups & (truth.area >= least) & (truth.area <= most)
        found.append([_taken(fit[:, counts], limit) for limit in IOU_THRESHOLDS])
        truths.append(np.count_nonzero(counts))
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


def _taken(fit: FloatArray, threshold: float) -> int:
    """How many objects are taken at this threshold, of the IoU (N, M) of ranked proposals."""
    free = np.ones(fit.shape[1], np.bool_)
    for row in fit[(fit >= threshold).any(axis=1)]:
        fits = np.flatnonzero(free & (row >= threshold))
        if len(fits):
            # of equal ones the last, as the published loop has it
            free[fits[row[fits] == row[fits].max()][-1]] = False
    return int(np.count_nonzero(~free))
