"""Bootstrap intervals against SciPy's, and what groups change."""

import math

import numpy as np
import pytest
from scipy import stats

from samphire.errors import ShapeError
from samphire.evaluation import intervals
from samphire.evaluation.intervals import Interval, bootstrap_interval, paired_interval


def each_alone(count):
    return [f"{index:04d}" for index in range(count)]


def bounds(interval):
    return interval.low, interval.high


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_cases_that_are_groups_give_scipys_percentile_interval(rng, level):
    values = rng.beta(5, 2, 40)
    found = bootstrap_interval(values, each_alone(40), level=level, draws=2000, seed=3)
    expected = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=2000,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    np.testing.assert_allclose(bounds(found), (expected.low, expected.high), rtol=1e-12)
    assert found.mean == pytest.approx(values.mean())
    assert found.groups == 40


def test_groups_are_drawn_whole_and_their_cases_pooled(rng):
    values, groups = rng.random(12), list("aaaaaabbbccd")
    found = bootstrap_interval(values, groups, draws=500, seed=7)
    members = [values[:6], values[6:9], values[9:11], values[11:]]
    generator = np.random.default_rng(7)
    means = [
        np.concatenate([members[index] for index in generator.integers(0, 4, 4)]).mean()
        for _ in range(500)
    ]
    np.testing.assert_allclose(bounds(found), np.quantile(means, [0.025, 0.975]))
    assert (found.mean, found.groups) == (pytest.approx(values.mean()), 4)


def test_copies_of_a_case_in_its_group_do_not_narrow_the_interval(rng):
    values, groups = rng.random(10), each_alone(10)
    once = bootstrap_interval(values, groups)
    copied = bootstrap_interval(np.repeat(values, 9), np.repeat(groups, 9).tolist())
    np.testing.assert_allclose(bounds(copied), bounds(once))
    torn = bootstrap_interval(np.repeat(values, 9), each_alone(90))
    assert torn.high - torn.low < (once.high - once.low) / 2


def test_the_order_of_the_cases_does_not_matter(rng):
    values, groups = rng.random(20), rng.choice(list("abcdef"), 20)
    order = rng.permutation(20)
    found = bootstrap_interval(values, groups.tolist())
    shuffled = bootstrap_interval(values[order], groups[order].tolist())
    np.testing.assert_allclose(bounds(found), bounds(shuffled))


def test_the_same_seed_gives_the_same_interval_and_another_a_near_one(rng):
    values, groups = rng.random(30), each_alone(30)
    found = bootstrap_interval(values, groups)
    assert found == bootstrap_interval(values, groups)
    other = bootstrap_interval(values, groups, seed=1)
    assert found != other
    np.testing.assert_allclose(bounds(found), bounds(other), atol=0.01)


def test_blocks_of_draws_change_nothing(rng, monkeypatch):
    values, groups = rng.random(30), each_alone(30)
    whole = bootstrap_interval(values, groups, draws=101)
    monkeypatch.setattr(intervals, "_BLOCK", 100)
    assert bootstrap_interval(values, groups, draws=101) == whole


def test_one_group_has_no_interval():
    found = bootstrap_interval([0.25, 0.75], ["one", "one"])
    assert (found.mean, found.groups) == (0.5, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_cases_that_are_equal_have_an_interval_of_no_width():
    assert bootstrap_interval([0.5] * 4, list("abcd")) == Interval(0.5, 0.5, 0.5, 4)


def test_nine_of_ten_intervals_hold_the_true_mean(rng):
    held = 0
    for seed in range(200):
        shared = np.repeat(rng.normal(size=30), 5)  # what the cases of a group have in common
        values = shared + rng.normal(size=150) / 4
        groups = np.repeat(each_alone(30), 5).tolist()
        found = bootstrap_interval(values, groups, level=0.9, draws=300, seed=seed)
        held += found.low <= 0 <= found.high
    assert 165 <= held <= 195


def test_pairs_are_compared_case_by_case(rng):
    before = rng.random(20)
    after = before + 0.02 + rng.normal(size=20) / 1000
    groups = each_alone(20)
    found = paired_interval(before, after, groups, draws=1000, level=0.8, seed=5)
    assert found == bootstrap_interval(after - before, groups, draws=1000, level=0.8, seed=5)
    assert 0.019 < found.low < found.high < 0.021
    alone = [bootstrap_interval(values, groups) for values in (before, after)]
    assert alone[1].low < alone[0].high  # which the two alone could not tell


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_named(bad):
    with pytest.raises(ValueError, match=rf"values\[1\] is {bad}: expected finite"):
        bootstrap_interval([0.5, bad], ["a", "b"])
    with pytest.raises(ValueError, match=rf"before\[1\] is {bad}"):
        paired_interval([0.5, bad], [0.5, 0.5], ["a", "b"])
    with pytest.raises(ValueError, match=rf"after\[0\] is {bad}"):
        paired_interval([0.5, 0.5], [bad, 0.5], ["a", "b"])


def test_lengths_must_be_equal():
    with pytest.raises(ShapeError, match="2 values for 3 groups"):
        bootstrap_interval([0.5, 1], list("abc"))
    with pytest.raises(ShapeError, match="1 before for 2 groups"):
        paired_interval([0.5], [0.5, 1], list("ab"))
    with pytest.raises(ShapeError, match=r"values has shape \(1, 1\)"):
        bootstrap_interval([[0.5]], ["a"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 95}, "level is 95"),
        ({"level": 1}, "level is 1"),
        ({"level": 0}, "level is 0"),
        ({"draws": 0}, "draws is 0"),
    ],
)
def test_levels_and_draws_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval([0.5, 1], list("ab"), **arguments)


def test_no_case_has_no_mean():
    with pytest.raises(ValueError, match="values is empty"):
        bootstrap_interval([], [])
