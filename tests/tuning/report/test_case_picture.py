"""Pictures of cases: panels of one window, with outlines that lie on the edges."""

import numpy as np
import pytest

from samphire.errors import ShapeError
from samphire.masks.colours import PALETTE
from samphire.tuning.report.case_picture import GAP, PANEL, case_picture

TRUE, PREDICTED = PALETTE[0], PALETTE[1]


def square(x0, y0, x1, y1, height=300, width=400):
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def near(panel, colour):
    """Where a panel has about this colour."""
    return np.abs(panel.astype(int) - colour).sum(axis=2) < 30


def panels(picture):
    count = round((picture.shape[1] + GAP) / (PANEL + GAP))
    return [picture[:, place * (PANEL + GAP) :][:, :PANEL] for place in range(count)]


GROUND = np.full((300, 400, 3), 200, np.uint8)


def test_there_are_three_panels_each_with_the_truth_and_two_with_the_answer():
    picture = case_picture(
        GROUND, square(100, 100, 140, 140), square(80, 100, 120, 140), square(104, 100, 144, 140)
    )
    assert picture.shape == (PANEL, 3 * PANEL + 2 * GAP, 3)
    found = panels(picture)
    assert [near(panel, TRUE).any() for panel in found] == [True] * 3
    assert [near(panel, PREDICTED).any() for panel in found] == [True, False, True]


def test_outlines_lie_on_the_edges_of_the_masks():
    true, nothing = square(100, 100, 140, 140), np.zeros((300, 400), bool)
    _, after = panels(case_picture(GROUND, nothing, None, true))
    side = round(40 * 1.8)
    start, scale = 120 - side // 2, PANEL / side
    rows, columns = np.nonzero(near(after, PREDICTED))
    expected = [(100 + 0.5 - start) * scale, (139 + 0.5 - start) * scale]
    for places in (rows, columns):
        assert [places.min(), places.max()] == pytest.approx(expected, abs=3)


def test_without_a_base_there_are_two_panels():
    true = square(10, 10, 200, 200)
    assert case_picture(GROUND, true, None, true).shape[1] == 2 * PANEL + GAP


def test_without_any_pixel_the_whole_picture_is_shown():
    nothing = np.zeros((300, 400), bool)
    picture = case_picture(GROUND, nothing, nothing, nothing)
    assert picture.shape == (round(PANEL * 300 / 400), 3 * PANEL + 2 * GAP, 3)
    np.testing.assert_array_equal(panels(picture)[0], 200)


@pytest.mark.parametrize("place", [(0, 0, 3, 3), (397, 297, 400, 300), (0, 0, 400, 300)])
def test_an_object_at_the_edge_is_inside_the_window(place):
    true = square(*place)
    after = panels(case_picture(GROUND, true, true, true))[2]
    assert near(after, PREDICTED).any()


def test_a_picture_of_one_pixel_has_panels():
    one = np.ones((1, 1), bool)
    assert case_picture(GROUND[:1, :1], one, one, one).shape == (PANEL, 3 * PANEL + 2 * GAP, 3)


def test_masks_of_another_size_are_refused():
    true = square(0, 0, 3, 3)
    with pytest.raises(ShapeError, match="after"):
        case_picture(GROUND, true, None, true[:-1])


def test_the_input_is_not_drawn_on():
    image = GROUND.copy()
    true = square(0, 0, 400, 300)
    case_picture(image, true, None, true)
    np.testing.assert_array_equal(image, GROUND)
