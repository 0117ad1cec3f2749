"""The points of everything mode: where they lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.geometry import Frame, Size
from samphire.predict.grid import layer_grids, point_grid, unlike_points


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


SQUARE = Size(64, 64)


def embedded(vectors, resized=SQUARE, original=SQUARE):
    """An embedding of 4 x 4 cells, 16 input pixels each; vectors (4, 4, C)."""
    scale = (resized.width / original.width, resized.height / original.height)
    frame = Frame(original, resized, scale, 64, 16, ())
    features = np.asarray(vectors, np.float32).transpose(2, 0, 1)[None]
    return ImageEmbedding(features, frame, EmbeddingKey("a", "b", "c"), "a test")


def test_odd_cells_are_asked_before_like_ones():
    vectors = np.full((4, 4, 3), (1.0, 0.01, 0.0)) * np.arange(1, 17).reshape(4, 4, 1)
    vectors[1, 2], vectors[3, 0] = (0.0, 1.0, 0.0), (0.0, 0.0, 0.2)
    points = unlike_points(embedded(vectors), 3)
    # the two odd cells whatever their length, and one of those that point the same way
    assert {(0.625, 0.375), (0.125, 0.875)} < set(map(tuple, points.tolist()))
    assert len(points) == 3


def test_the_padding_is_not_asked_and_a_cell_once(rng):
    vectors = rng.standard_normal((4, 4, 5))
    points = unlike_points(embedded(vectors, Size(20, 64), Size(40, 128)), 100)
    expected = [(x, y) for y in (0.4, 0.9) for x in (0.125, 0.375, 0.625, 0.875)]
    np.testing.assert_allclose(points, expected)
    assert len(unlike_points(embedded(vectors), 5)) == 5


def test_an_even_picture_is_no_trouble():
    assert np.isfinite(unlike_points(embedded(np.zeros((4, 4, 3))), 4)).all()
