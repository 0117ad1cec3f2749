import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from samphire.geometry import Size
from samphire.images.outlines import FARTHEST, fill

COORDINATE = st.floats(-100, 400, width=32)
SIZE = Size(200, 300)


@given(
    figure=st.sampled_from(["polygon", "rectangle", "ellipse"]),
    points=st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=12),
)
def test_it_is_what_pillow_draws_on_the_whole_picture(figure, points):
    corners = np.array(points, np.float64)
    if figure != "polygon":
        corners = np.stack([corners.min(axis=0), corners.max(axis=0)])
    canvas = Image.new("L", (SIZE.width, SIZE.height))
    draw = getattr(ImageDraw.Draw(canvas), figure)
    draw([tuple(corner) for corner in corners.tolist()], fill=1, outline=1)
    top, rows = fill(figure, corners, SIZE)
    whole = np.zeros((SIZE.height, SIZE.width), np.bool_)
    whole[top : top + len(rows)] = rows
    assert np.array_equal(whole, np.asarray(canvas) != 0)


def test_only_the_rows_of_the_shape_are_made():
    top, rows = fill("polygon", np.array([[1, 50], [9, 50], [5, 54.0]]), SIZE)
    assert (top, rows.shape) == (50, (5, 300))


@pytest.mark.parametrize("y", [-50, 250])
def test_a_shape_outside_has_no_rows(y):
    assert fill("rectangle", np.array([[1.0, y], [9, y + 9]]), SIZE)[1].shape == (0, 300)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, FARTHEST + 1])
def test_coordinates_that_are_no_pixels_are_refused(wrong):
    with pytest.raises(ValueError, match="not numbers of at most"):
        fill("polygon", np.array([[0, 0], [wrong, 5], [5, 5]]), SIZE)
