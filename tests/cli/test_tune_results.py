"""The result of a tuning run in words: what got worse is said."""

import pytest

from samphire.cli.tune_results import drops


def entry(protocol, before, after):
    """One protocol's result, of one group."""
    return {
        "protocol": protocol,
        "cases": 9,
        "dice_before": before,
        "dice_after": after,
        **({} if before is None else {"difference": after - before, "better": 2, "worse": 7}),
        **({} if before is None else {"low": None, "high": None, "groups": 1}),
    }


def test_a_click_that_the_base_answered_better_is_told_with_its_numbers():
    results = {"protocols": [entry("points", 0.313, 0.144), entry("semantic", None, 0.6)]}
    assert drops(results) == [
        "points: mean Dice 0.313 before, 0.144 in 9 cases; -0.169, 2 better, 7 worse: the base did "
        "better."
    ]


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.5), (0.5, 0.7), (None, 0.1)])
def test_what_did_not_get_worse_is_no_drop(before, after):
    assert drops({"protocols": [entry("points", before, after)]}) == []
