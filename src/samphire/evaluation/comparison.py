"""Two engines on the same cases: how much better the second is, and where it is worse.

A mean that rises may hide cases that were spoiled, so they are counted. Differences are taken case
by case: see ``intervals.paired_interval``. Not for one engine alone (``summary.py``).
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import FloatArray
from samphire.errors import DataError
from samphire.evaluation.everything import Proposals
from samphire.evaluation.intervals import Interval, paired_interval
from samphire.evaluation.protocols import Evaluation

# Values that differ by no more are equal: of Dice about what a pixel along an edge makes.
SAME = 0.01


@dataclass(frozen=True)
class Comparison:
    """What an adapter changed.

    Attributes:
        measure: what was compared: Dice, or AR@1000.
        difference: mean of after minus before, and its interval over groups.
        better: cases whose measure rose by more than ``SAME``.
        equal: cases in between.
        worse: cases whose measure fell by more than ``SAME``.
    """

    measure: str
    difference: Interval
    better: int
    equal: int
    worse: int

    @property
    def n(self) -> int:
        """How many cases were compared."""
        return self.better + self.equal + self.worse


def compare(before: Evaluation | Proposals, after: Evaluation | Proposals) -> Comparison:
    """Compare two measurements of the same samples.

    Args:
        before: of the base.
        after: of the base with its adapter, by the same protocol.

    Raises:
        DataError: the cases differ, or their order does.
        ValueError: there are none.
    """
    check_same_cases(before, after)
    gained = gain(values(before), values(after))
    return Comparison(
        measure="Dice" if isinstance(after, Evaluation) else "AR@1000",
        difference=paired_interval(values(before), values(after), _groups(after)),
        better=int((gained > SAME).sum()),
        equal=int((np.abs(gained) <= SAME).sum()),
        worse=int((gained < -SAME).sum()),
    )


def check_same_cases(before: Evaluation | Proposals, after: Evaluation | Proposals) -> None:
    """Refuse a comparison of different cases.

    Raises:
        DataError: they differ, or their order does.
    """
    left, right = _names(before), _names(after)
    if type(before) is not type(after) or left != right:
        alone = sorted(set(left) ^ set(right))
        what = f"for example {alone[0]}" if alone else "in their order"
        raise DataError(
            f"{len(left)} cases before and {len(right)} after differ, {what}: expected the same "
            "ones; measure both on the same samples by the same protocol"
        )


def values(measured: Evaluation | Proposals) -> FloatArray:
    """What is compared of each case, (N,): Dice, or AR@1000."""
    if isinstance(measured, Evaluation):
        return np.array([case.agreement.dice for case in measured.cases], np.float64)
    return np.array([each.average_recall for each in measured.pictures], np.float64)


def gain(before: FloatArray, after: FloatArray) -> FloatArray:
    """After minus before, (N,), without the dust of floating point beside ``SAME``."""
    return np.asarray(np.round(after - before, 9))


def _names(measured: Evaluation | Proposals) -> list[str]:
    if isinstance(measured, Evaluation):
        return [f"{case.id} {case.target}" for case in measured.cases]
    return [each.id for each in measured.pictures]


def _groups(measured: Evaluation | Proposals) -> list[str]:
    cases = measured.cases if isinstance(measured, Evaluation) else measured.pictures
    return [case.group for case in cases]
