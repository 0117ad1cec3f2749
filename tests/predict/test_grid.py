"""The points of everything mode: where they lie, and in which rounds they are asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.predict.grid import coarse_to_fine, layer_grids, point_grid


@given(per_side=st.integers(1, 40))
def test_points_are_the_centres_of_equal_cells_row_by_row(per_side):
    expected = [
        ((k + 0.5) / per_side, (r + 0.5) / per_side)
        for r in range(per_side)
        for k in range(per_side)
    ]
    np.testing.assert_allclose(point_grid(per_side), expected, atol=1e-12)


def test_a_grid_without_points_is_refused():
    with pytest.raises(ValueError, match="points_per_side=0: expected at least 1"):
        point_grid(0)


def test_each_layer_has_fewer_points_and_never_none():
    assert [len(grid) for grid in layer_grids(8, 2, 2)] == [64, 16, 4]
    assert [len(grid) for grid in layer_grids(4, 3, 2)] == [16, 4, 1, 1]
    assert [len(grid) for grid in layer_grids(32, 0, 1)] == [1024]


@given(per_side=st.integers(1, 33))
def test_rounds_hold_each_point_once(per_side):
    grid = point_grid(per_side)
    rounds = coarse_to_fine(grid)
    assert sorted(map(tuple, np.concatenate(rounds))) == sorted(map(tuple, grid))
    assert all(len(points) for points in rounds)


def test_early_rounds_are_few_and_even():
    first, second = coarse_to_fine(point_grid(16))
    assert (len(first), len(second)) == (64, 192)
    assert np.unique(np.diff(np.unique(first[:, 0]))).size == 1


def test_points_that_are_no_square_grid_are_one_round():
    points = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    (only,) = coarse_to_fine(points)
    np.testing.assert_array_equal(only, points)
