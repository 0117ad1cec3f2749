"""Summaries of agreements, counted by hand."""

import numpy as np
import pytest

from samphire.errors import ShapeError
from samphire.evaluation.agreement import agreement
from samphire.evaluation.intervals import bootstrap_interval
from samphire.evaluation.summary import summarise

GROUPS = ["one", "one", "two", "three", "three"]


def row(*places, shape=(1, 20)):
    mask = np.zeros(shape, np.bool_)
    mask[..., list(places)] = True
    return mask


def cases(shape=(1, 20)):
    """Found by half, exact, missed, made up, rightly nothing."""
    pairs = [
        (row(0, 1, shape=shape), row(1, 2, shape=shape)),
        (row(*range(6), shape=shape), row(*range(6), shape=shape)),
        (row(shape=shape), row(3, shape=shape)),
        (row(3, 4, 5, shape=shape), row(shape=shape)),
        (row(shape=shape), row(shape=shape)),
    ]
    spacing = (1,) * len(shape)
    return [agreement(predicted, true, spacing=spacing) for predicted, true in pairs]


def test_cases_are_counted_by_kind():
    found = summarise(cases(), GROUPS)
    assert (found.n, found.n_true_empty, found.n_missed, found.n_false) == (5, 2, 1, 1)


def test_means_are_over_cases_and_pooled_values_over_pixels():
    found = summarise(cases(), GROUPS)
    assert found.dice.mean == pytest.approx((0.5 + 1 + 0 + 0 + 1) / 5)
    assert found.iou.mean == pytest.approx((1 / 3 + 1 + 0 + 0 + 1) / 5)
    assert found.hausdorff_95.mean == pytest.approx((0.95 + 0 + 2 * np.hypot(1, 20) + 0) / 5)
    assert found.surface_dice.mean == pytest.approx((1 + 1 + 0 + 0 + 1) / 5)
    assert found.boundary_iou.mean == pytest.approx((1 / 3 + 1 + 0 + 0 + 1) / 5)
    # in both: 1 + 6; predicted: 2 + 6 + 3; true: 2 + 6 + 1
    assert found.pooled_dice == 14 / 20
    assert found.pooled_iou == 7 / 13


def test_dice_of_objects_leaves_out_what_was_empty():
    found = summarise(cases(), GROUPS)
    assert found.dice_of_objects.mean == pytest.approx((0.5 + 1 + 0) / 3)
    assert found.dice_of_objects.groups == 2
    assert found.dice.groups == 3
    nothing = summarise(cases()[3:], GROUPS[3:])
    assert nothing.dice_of_objects is None


def test_intervals_are_drawn_as_asked_for():
    settings = {"level": 0.8, "draws": 300, "seed": 4}
    found = summarise(cases(), GROUPS, **settings)
    values = [case.hausdorff_95 for case in cases()]
    assert found.hausdorff_95 == bootstrap_interval(values, GROUPS, **settings)
    assert found.dice != summarise(cases(), GROUPS).dice


def test_nothing_to_find_and_nothing_found_is_perfect():
    found = summarise(cases()[4:] * 2, ["one", "two"])
    assert (found.pooled_dice, found.pooled_iou, found.dice.mean) == (1, 1, 1)


def test_volumes_have_no_boundary_iou():
    found = summarise(cases(shape=(1, 1, 20)), GROUPS)
    assert found.boundary_iou is None
    assert found.dice == summarise(cases(), GROUPS).dice


def test_images_and_volumes_are_not_mixed():
    with pytest.raises(ValueError, match="1 of 6 cases are volumes: expected all or none"):
        summarise([*cases(), cases(shape=(1, 1, 20))[0]], [*GROUPS, "four"])


def test_each_case_needs_its_group():
    with pytest.raises(ShapeError, match="5 agreements for 4 groups"):
        summarise(cases(), GROUPS[1:])
    with pytest.raises(ValueError, match="agreements is empty"):
        summarise([], [])
