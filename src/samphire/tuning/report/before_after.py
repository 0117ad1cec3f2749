"""What tuning changed: the same cases before and after, measured by one protocol.

A mean hides which cases paid for it, so those that got worse are counted, and which cases to look
at is decided here, for whoever draws them. Not for one model alone (``evaluation/summary.py``).
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import FloatArray
from samphire.errors import DataError
from samphire.evaluation.intervals import Interval, paired_interval
from samphire.evaluation.protocols import Evaluation
from samphire.evaluation.summary import Summary, summarise

# Dice that differs by no more is equal: about what a pixel along an edge makes.
SAME = 0.01


@dataclass(frozen=True, eq=False)
class Change:
    """After minus before, on the same cases.

    Attributes:
        dice: mean difference, and its interval.
        iou: likewise.
        hausdorff_95: likewise; below 0 is better.
        surface_dice: likewise.
        better: cases whose Dice rose by more than ``SAME``.
        equal: cases in between.
        worse: cases whose Dice fell by more than ``SAME``.
    """

    dice: Interval
    iou: Interval
    hausdorff_95: Interval
    surface_dice: Interval
    better: int
    equal: int
    worse: int


@dataclass(frozen=True, eq=False)
class BeforeAfter:
    """Before and after, by one protocol.

    Attributes:
        before: of the base; None where it cannot be asked, as for classes it does not know.
        after: of the adapter.
        change: None where ``before`` is.
    """

    before: Summary | None
    after: Summary
    change: Change | None


@dataclass(frozen=True)
class Shown:
    """Which cases to look at, as indices; the most telling first.

    Attributes:
        worst: of the lowest Dice after tuning.
        best: of the highest; none of ``worst``.
        worsened: whose Dice fell most, by more than ``SAME``.
    """

    worst: tuple[int, ...]
    best: tuple[int, ...]
    worsened: tuple[int, ...]


def before_after(before: Evaluation | None, after: Evaluation) -> BeforeAfter:
    """Sum up both, and the differences case by case.

    Args:
        before: of the base, or None.
        after: of the adapter, with one case at least.

    Raises:
        DataError: the cases differ.
        ValueError: there are none.
    """
    groups = [case.group for case in after.cases]
    summary = summarise([case.agreement for case in after.cases], groups)
    if before is None:
        return BeforeAfter(None, summary, None)
    check_same_cases(before, after)

    def change(measure: str) -> Interval:
        past, found = (
            [getattr(case.agreement, measure) for case in each.cases] for each in (before, after)
        )
        return paired_interval(past, found, groups)

    gained = gain(dices(before), dices(after))
    return BeforeAfter(
        before=summarise([case.agreement for case in before.cases], groups),
        after=summary,
        change=Change(
            dice=change("dice"),
            iou=change("iou"),
            hausdorff_95=change("hausdorff_95"),
            surface_dice=change("surface_dice"),
            better=int((gained > SAME).sum()),
            equal=int((np.abs(gained) <= SAME).sum()),
            worse=int((gained < -SAME).sum()),
        ),
    )


def check_same_cases(before: Evaluation, after: Evaluation) -> None:
    """Refuse a comparison of different cases.

    Raises:
        DataError: they differ, or their order does.
    """
    left, right = ([(case.id, case.target) for case in each.cases] for each in (before, after))
    if left != right:
        alone = sorted(set(left) ^ set(right))
        what = f"for example {' '.join(alone[0])}" if alone else "in their order"
        raise DataError(
            f"{len(left)} cases before and {len(right)} after tuning differ, {what}: expected the "
            "same ones; measure both on the same samples"
        )


def dices(evaluation: Evaluation) -> FloatArray:
    """Dice of each case, (N,)."""
    return np.array([case.agreement.dice for case in evaluation.cases], np.float64)


def gain(before: FloatArray, after: FloatArray) -> FloatArray:
    """After minus before, (N,), without the dust of floating point beside ``SAME``."""
    return np.asarray(np.round(after - before, 9))


def choose(before: FloatArray | None, after: FloatArray, count: int = 6) -> Shown:
    """Choose the cases that a report shows.

    Args:
        before: (N,) Dice before, or None: then none has worsened.
        after: (N,) Dice after.
        count: of each kind at most; of few cases, half are the worst and half the best.

    >>> choose(np.array([0.9, 0.5, 0.5]), np.array([0.8, 0.9, 0.6]))
    Shown(worst=(2, 0), best=(1,), worsened=(0,))
    """
    order = np.argsort(after, kind="stable").tolist()
    low = min(count, -(-len(order) // 2))
    worst, best = order[:low], order[low:][::-1][:count]
    worsened: list[int] = []
    if before is not None:
        gained = gain(before, after)
        falling = np.argsort(gained, kind="stable").tolist()
        worsened = [index for index in falling if gained[index] < -SAME][:count]
    return Shown(tuple(worst), tuple(best), tuple(worsened))
