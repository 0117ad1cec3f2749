"""What a notebook shows of masks: ``Masks._repr_png_`` and the drawing behind it."""

import itertools
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.colours import PALETTE, mask_colours
from samphire.masks.picture import LONGEST_SIDE, NO_MASK, blank, paint, shrink_factor


def _shown(masks: Masks) -> np.ndarray:
    """The notebook's picture, RGB."""
    data = np.frombuffer(masks._repr_png_(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def _filled(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Masks:
    dense = np.zeros((len(boxes), height, width), bool)
    for mask, (x0, y0, x1, y1) in zip(dense, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Masks.from_arrays(dense)


def test_each_mask_has_its_colour_and_the_rest_is_dark():
    shown = _shown(_filled(60, 100, (50, 20, 90, 50), (10, 10, 30, 30)))
    assert shown.shape == (60, 100, 3)
    assert shown[35, 70].tolist() == list(PALETTE[0])
    assert shown[20, 20].tolist() == list(PALETTE[1])
    outside = shown.copy()
    outside[10:30, 10:30] = outside[20:50, 50:90] = NO_MASK
    assert (outside == NO_MASK).all()


def test_small_masks_lie_on_large_ones_whatever_their_order():
    small, large = (40, 20, 60, 40), (10, 5, 90, 55)
    for boxes in ((small, large), (large, small)):
        shown = _shown(_filled(60, 100, *boxes))
        assert shown[30, 50].tolist() == list(PALETTE[1])
        assert shown[10, 20].tolist() == list(PALETTE[0])


def test_masks_that_touch_have_different_colours_with_a_lighter_line_between():
    boxes = [(10 * i, 0, 10 * i + 10, 20) for i in range(8)]
    masks = _filled(20, 80, *boxes)
    row = _shown(masks)[10]
    given = mask_colours(masks.boxes, masks.size)
    assert [tuple(row[10 * i + 5].tolist()) for i in range(8)] == given
    assert all(left != right for left, right in itertools.pairwise(given))
    assert row[9].tolist() == [(part + 255) // 2 for part in given[0]]


def test_holes_stay_open():
    dense = np.zeros((1, 40, 40), bool)
    dense[0, 5:35, 5:35] = True
    dense[0, 15:25, 15:25] = False
    assert _shown(Masks.from_arrays(dense))[20, 20].tolist() == list(NO_MASK)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (Size(30, 1024), (30, 1024)),
        (Size(30, 1025), (15, 513)),
        (Size(4000, 5000), (800, 1000)),
        (Size(1, 100_000), (1, 1021)),
    ],
)
def test_no_side_of_the_picture_exceeds_the_limit(size, shown):
    nothing = Masks.from_runs(size, [], ())
    assert _shown(nothing).shape[:2] == shown
    assert max(shown) <= LONGEST_SIDE


@pytest.mark.slow
def test_twenty_megapixels_become_a_small_file_one_window_at_a_time():
    whole = np.array([0, 20_000_000], np.uint32)
    masks = Masks.from_runs(Size(4000, 5000), [(0, 0, 5000, 4000)] * 4, (whole,) * 4)
    tracemalloc.start()
    data = masks._repr_png_()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data) < 100_000
    assert peak < 120e6  # bool, uint8 and padded window of one mask, not of four


@settings(max_examples=60)
@given(st.data())
def test_a_shrunk_pixel_has_as_much_colour_as_the_mask_covers_of_it(data):
    factor = data.draw(st.integers(2, 4))
    x, y = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
    seed = data.draw(st.integers(0, 2**32 - 1))
    window = np.random.default_rng(seed).random((7, 11)) > 0.7
    dense = np.zeros((24, 24), bool)
    dense[y : y + 7, x : x + 11] = window
    cells = 24 // factor
    covered = dense[: cells * factor, : cells * factor]
    share = covered.reshape(cells, factor, cells, factor).mean(axis=(1, 3))
    canvas = np.zeros((-(-24 // factor), -(-24 // factor), 3), np.uint8)
    paint(canvas, window, (x, y), (200, 200, 200), factor)
    below = canvas[:cells, :cells, 0]
    plain = share < 0.5  # the outline lies on the others
    np.testing.assert_allclose(below[plain], 200 * share[plain], atol=1.5)


def test_an_empty_mask_and_no_mask_show_nothing():
    assert (_shown(Masks.from_runs(Size(8, 9), [], ())) == NO_MASK).all()
    assert (_shown(Masks.from_arrays(np.zeros((2, 8, 9)))) == NO_MASK).all()


def test_the_empty_picture_and_the_factor_agree():
    assert shrink_factor(Size(3000, 2049)) == 3
    assert blank(Size(3000, 2049)).shape == (1000, 683, 3)
