"""Two engines on the same cases: how much better the second is, and where it is worse.

A mean that rises may hide cases that were spoiled, so they are counted. Differences are taken case
by case: see ``intervals.paired_interval``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from samphire.errors import DataError
from samphire.evaluation.everything import Proposals
from samphire.evaluation.intervals import Interval, paired_interval
from samphire.evaluation.protocols import Evaluation


@dataclass(frozen=True)
class Comparison:
    """What an adapter changed.

    Attributes:
        measure: what was compared: Dice, or AR@1000.
        difference: mean of after minus before, and its interval over groups.
        n: how many cases.
        better: in how many the measure rose.
        worse: in how many it fell.
    """

    measure: str
    difference: Interval
    n: int
    better: int
    worse: int


def compare(before: Evaluation | Proposals, after: Evaluation | Proposals) -> Comparison:
    """Compare two measurements of the same samples.

    Args:
        before: of the base.
        after: of the base with its adapter, by the same protocol.

    Raises:
        DataError: they are not of the same cases.
    """
    first, second = _values(before), _values(after)
    if type(before) is not type(after) or first.keys() != second.keys():
        apart = sorted(f"{name} {target}" for name, target, _ in first.keys() ^ second.keys())
        raise DataError(
            f"the measurements differ in {len(apart)} cases, {', '.join(apart[:3])}: expected the "
            "same samples and protocol"
        )
    keys = sorted(first)
    old, new = [first[key] for key in keys], [second[key] for key in keys]
    return Comparison(
        measure="Dice" if isinstance(after, Evaluation) else "AR@1000",
        difference=paired_interval(old, new, [group for _, _, group in keys]),
        n=len(keys),
        better=sum(b > a for a, b in zip(old, new, strict=True)),
        worse=sum(b < a for a, b in zip(old, new, strict=True)),
    )


def _values(measured: Evaluation | Proposals) -> Mapping[tuple[str, str, str], float]:
    """Id, target and group of each case, and what is compared."""
    if isinstance(measured, Evaluation):
        return {(case.id, case.target, case.group): case.agreement.dice for case in measured.cases}
    return {(each.id, "", each.group): each.average_recall for each in measured.pictures}
