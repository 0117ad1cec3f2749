"""Before against after: what is counted, compared and chosen to be shown."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.evaluation.agreement import Agreement
from samphire.evaluation.intervals import paired_interval
from samphire.evaluation.protocols import Case, Evaluation
from samphire.evaluation.summary import summarise
from samphire.tuning.report.before_after import before_after, choose

BEFORE = (0.9, 0.5, 0.80, 0.80, 0.30)
AFTER = (0.8, 0.9, 0.81, 0.79, 0.62)


def measured(values, groups="abcde"):
    cases = [
        Case(
            f"{place}.png",
            group,
            "object 1",
            Agreement(value, value / 2, 10 * (1 - value), value / 3, value / 4, 50, 100, 100),
        )
        for place, (value, group) in enumerate(zip(values, groups, strict=False))
    ]
    return Evaluation("points", 2.0, tuple(cases))


def test_differences_are_paired_and_those_of_a_hundredth_are_equal():
    before, after = measured(BEFORE), measured(AFTER)
    found = before_after(before, after)
    groups = [case.group for case in after.cases]
    assert found.change.dice == paired_interval(BEFORE, AFTER, groups)
    distances = [[case.agreement.hausdorff_95 for case in each.cases] for each in (before, after)]
    assert found.change.hausdorff_95 == paired_interval(*distances, groups)
    assert (found.change.cases.better, found.change.cases.equal, found.change.cases.worse) == (
        2,
        2,
        1,
    )
    assert found.before == summarise([case.agreement for case in before.cases], groups)
    assert found.after == summarise([case.agreement for case in after.cases], groups)


def test_of_one_group_there_is_a_difference_without_an_interval():
    change = before_after(measured(BEFORE, "aaaaa"), measured(AFTER, "aaaaa")).change
    assert change.dice.mean == pytest.approx(np.mean(AFTER) - np.mean(BEFORE))
    assert math.isnan(change.dice.low)


def test_without_a_base_there_is_no_change():
    found = before_after(None, measured(AFTER))
    assert (found.before, found.change) == (None, None)
    assert found.after.n == 5


def test_the_worst_the_best_and_those_that_fell_most_are_shown():
    shown = choose(np.array(BEFORE), np.array(AFTER), count=2)
    assert shown.worst == (4, 3)
    assert shown.best == (1, 2)
    assert shown.worsened == (0,)
    assert choose(None, np.array(AFTER)).worsened == ()
    assert choose(None, np.zeros(0)).worst == ()


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2), max_size=40))
def test_a_choice_of_the_chosen_is_the_same(values):
    """So a report can sort the pictures that it is given without seeing the others."""
    before, after = (
        (np.array(column) / 20 for column in zip(*values, strict=True))
        if values
        else (
            np.zeros(0),
            np.zeros(0),
        )
    )
    first = choose(before, after)
    assert not set(first.worst) & set(first.best)
    drawn = sorted({*first.worst, *first.best, *first.worsened})
    again = choose(before[drawn], after[drawn])
    for kind in ("worst", "best", "worsened"):
        assert tuple(drawn[place] for place in getattr(again, kind)) == getattr(first, kind)
