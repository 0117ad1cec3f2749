"""How sure a mean over cases is: bootstrap intervals over groups.

Slices of one patient, or crops of one slide, are much alike: a hundred of them tell less than a
hundred patients. So whole groups are drawn, not cases, and the interval is as wide as the number
of groups makes it.

Not for what is averaged (``agreement.py``). Source: Efron 1979, "Bootstrap methods"; the percentile
interval as in Efron and Tibshirani 1993, section 13.3, and SciPy's ``stats.bootstrap``; groups as
"clusters" in Davison and Hinkley 1997, section 3.8.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samphire.arrays import FloatArray, IntArray
from samphire.errors import ShapeError, check_shape

# Fewer groups than this say little about others: the interval is too narrow.
FEW_GROUPS = 6
_BLOCK = 1 << 20  # drawn groups at a time: 8 MiB of indices


@dataclass(frozen=True)
class Interval:
    """A mean over cases, and where it would lie had other groups been seen.

    Attributes:
        mean: over all cases.
        low: lower end; NaN where there is one group only, which says nothing about others.
        high: upper end; NaN likewise.
        groups: how many there are. Of a handful, intervals are too narrow.
    """

    mean: float
    low: float
    high: float
    groups: int


def bootstrap_interval(
    values: npt.ArrayLike,
    groups: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The mean of the values and its percentile interval.

    In each draw, as many groups as there are come back at random, one perhaps several times, each
    with all its cases; the mean is over all cases drawn. Same arguments, same interval.

    Args:
        values: (N,), one a case, finite.
        groups: (N,), to which group each case belongs.
        level: share of the draws inside the interval, above 0, below 1.
        draws: how many, 1 or more.
        seed: of the draws.

    Returns:
        low and high are NaN if all cases belong to one group.

    Raises:
        ShapeError: the lengths differ.
        ValueError: no values, one that is not finite, or a level or number of draws out of range.

    >>> bootstrap_interval([0.5, 0.75, 1.0], ["one", "one", "one"])
    Interval(mean=0.75, low=nan, high=nan, groups=1)
    """
    found = _finite(values, groups, "values")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: expected a share above 0 and below 1, such as 0.95")
    if draws < 1:
        raise ValueError(f"draws is {draws}: expected 1 or more")
    names, members = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    mean, count = float(found.mean()), len(names)
    if count == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    sums, cases = np.bincount(members, weights=found), np.bincount(members)
    means = np.concatenate(
        [sums[drawn].sum(axis=1) / cases[drawn].sum(axis=1) for drawn in _draw(count, draws, seed)]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), count)


def paired_interval(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    groups: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """How much better ``after`` is than ``before`` on the same cases: mean of the differences.

    An easy case is easy for both, so differences vary less than the values: two models whose own
    intervals overlap may differ for sure. An interval without 0 says that they do.

    Args:
        before: (N,), one a case, finite.
        after: (N,), of the same cases in the same order.
        groups: (N,), to which group each case belongs.
        level: as for :func:`bootstrap_interval`.
        draws: likewise.
        seed: likewise.

    Raises:
        ShapeError: the lengths differ.
        ValueError: as for :func:`bootstrap_interval`.

    >>> paired_interval([0.5, 0.75], [0.75, 1.0], ["one", "two"])
    Interval(mean=0.25, low=0.25, high=0.25, groups=2)
    """
    difference = _finite(after, groups, "after") - _finite(before, groups, "before")
    return bootstrap_interval(difference, groups, level=level, draws=draws, seed=seed)


def caution(groups: int) -> str:
    """What to say after an interval, for a reader who might trust it too much.

    >>> caution(3)
    ', of 3 groups only, so too narrow'
    >>> caution(30)
    ''
    """
    return f", of {groups} groups only, so too narrow" if 1 < groups < FEW_GROUPS else ""


def _finite(values: npt.ArrayLike, groups: Sequence[str], name: str) -> FloatArray:
    found = np.asarray(values, np.float64)
    check_shape(found, ("N",), name)
    if len(found) != len(groups):
        raise ShapeError(f"{len(found)} {name} for {len(groups)} groups: expected one a case")
    if not len(found):
        raise ValueError(f"{name} is empty: expected a value a case, one case at least")
    if not np.isfinite(found).all():
        worst = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ValueError(
            f"{name}[{worst}] is {found[worst]}: expected finite values; give a case without a "
            "value one by a rule, or leave it out and say so"
        )
    return found


def _draw(count: int, draws: int, seed: int) -> Iterator[IntArray]:
    """Indices of groups, (draws, count) in all, some rows at a time."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // count)
    for start in range(0, draws, rows):
        yield generator.integers(0, count, (min(rows, draws - start), count))
