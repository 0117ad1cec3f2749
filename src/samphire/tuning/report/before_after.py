"""What tuning changed: the same cases before and after, summed up by all measures.

Which cases to look at is decided here, too, for whoever draws them. Not for one measure alone
(``evaluation/comparison.py``), nor for one model alone (``evaluation/summary.py``).
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import FloatArray
from samphire.evaluation.comparison import SAME, Comparison, compare, gain
from samphire.evaluation.intervals import Interval, paired_interval
from samphire.evaluation.protocols import Evaluation
from samphire.evaluation.summary import Summary, summarise


@dataclass(frozen=True, eq=False)
class Change:
    """After minus before, on the same cases.

    Attributes:
        cases: the difference of Dice, and in how many cases it is better or worse.
        iou: mean difference, and its interval.
        hausdorff_95: likewise; below 0 is better.
        surface_dice: likewise.
    """

    cases: Comparison
    iou: Interval
    hausdorff_95: Interval
    surface_dice: Interval

    @property
    def dice(self) -> Interval:
        """As the others."""
        return self.cases.difference


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

    def change(measure: str) -> Interval:
        past, found = (
            [getattr(case.agreement, measure) for case in each.cases] for each in (before, after)
        )
        return paired_interval(past, found, groups)

    return BeforeAfter(
        before=summarise([case.agreement for case in before.cases], groups),
        after=summary,
        change=Change(
            cases=compare(before, after),
            iou=change("iou"),
            hausdorff_95=change("hausdorff_95"),
            surface_dice=change("surface_dice"),
        ),
    )


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
