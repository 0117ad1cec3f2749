"""Simulated clicks and boxes: RITM's rule by hand and by brute force, traps, chance."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from samphire.errors import PromptError, ShapeError
from samphire.evaluation.prompts import (
    Click,
    box_of,
    errors,
    farthest_click,
    first_click,
    generator,
    jittered_box,
    random_click,
)
from samphire.geometry import Size
from samphire.masks import Masks

HEIGHT, WIDTH = 40, 90  # never square: x and y must not be swapped
NONE = np.zeros((HEIGHT, WIDTH), np.bool_)


def rectangle(x0, y0, x1, y1):
    mask = NONE.copy()
    mask[y0:y1, x0:x1] = True
    return mask


def maps():
    shapes = st.tuples(st.integers(1, 9), st.integers(1, 12))
    return shapes.flatmap(lambda shape: nps.arrays(np.int8, shape, elements=st.integers(-1, 1)))


def squared_depths(error):
    """By brute force: the squared distance of each pixel to the nearest that is no error."""
    ringed = np.pad(error, 1)
    outside = np.argwhere(~ringed)
    depths = np.zeros(ringed.shape, np.int64)
    for row, column in np.argwhere(ringed):
        depths[row, column] = ((outside - (row, column)) ** 2).sum(axis=1).min()
    return depths[1:-1, 1:-1]


def by_brute_force(missed, extra, clicked):
    depths = {1: squared_depths(missed), 0: squared_depths(extra)}
    for depth in depths.values():
        for click in clicked:
            depth[click.y, click.x] = 0
    label = 1 if depths[1].max() > depths[0].max() else 0
    if depths[label].max() == 0:
        return None
    y, x = np.argwhere(depths[label] == depths[label].max())[0]
    return Click(int(x), int(y), label)


@given(maps(), st.data())
def test_the_farthest_click_is_what_brute_force_finds(signs, data):
    missed, extra = signs == 1, signs == -1
    height, width = signs.shape
    places = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    clicked = [Click(*place, label=1) for place in data.draw(st.lists(places, max_size=3))]
    assert farthest_click(missed, extra, clicked) == by_brute_force(missed, extra, clicked)


def test_the_farthest_click_in_large_blobs_is_what_brute_force_finds(rng):
    for _ in range(5):
        signs = np.kron(rng.integers(-1, 2, (3, 5)), np.ones((8, 9), np.int64))
        missed, extra = signs == 1, signs == -1
        assert farthest_click(missed, extra) == by_brute_force(missed, extra, [])


def test_the_first_click_is_in_the_middle_of_the_object():
    assert farthest_click(rectangle(60, 5, 69, 14), NONE) == Click(64, 9, label=1)


def test_the_larger_error_gets_the_click():
    large, small = rectangle(60, 5, 69, 14), rectangle(10, 20, 15, 25)
    assert farthest_click(small, large) == Click(64, 9, label=0)
    assert farthest_click(large, small) == Click(64, 9, label=1)


def test_large_is_meant_of_depth_not_of_area():
    thin, thick = rectangle(0, 30, WIDTH, 32), rectangle(60, 5, 65, 10)
    assert thin.sum() > thick.sum()
    assert farthest_click(thin, thick) == Click(62, 7, label=0)


def test_of_equal_errors_the_one_of_too_much_gets_the_click():
    assert farthest_click(rectangle(1, 1, 6, 6), rectangle(50, 20, 55, 25)).label == 0


def test_of_equal_pixels_the_first_by_rows_is_clicked():
    pair = rectangle(70, 5, 75, 10) | rectangle(10, 20, 15, 25)
    assert farthest_click(pair, NONE) == Click(72, 7, label=1)
    assert farthest_click(rectangle(30, 10, 34, 14), NONE) == Click(31, 11, label=1)


def test_the_outside_of_the_image_is_no_error():
    everything = np.ones((HEIGHT, WIDTH), np.bool_)
    assert farthest_click(everything, NONE) == Click(19, 19, label=1)
    assert farthest_click(rectangle(0, 0, 5, 5), NONE) == Click(2, 2, label=1)


def test_a_clicked_pixel_is_not_clicked_again():
    error = rectangle(60, 5, 69, 14)
    once = farthest_click(error, NONE)
    again = farthest_click(error, NONE, [once])
    assert again == Click(63, 8, label=1)
    pixel = rectangle(3, 4, 4, 5)
    assert farthest_click(pixel, NONE, [Click(3, 4, label=1)]) is None


def test_without_an_error_there_is_no_click(rng):
    assert farthest_click(NONE, NONE) is None
    assert random_click(NONE, NONE, rng) is None
    assert first_click(NONE, rng) is None


@given(maps(), st.integers(0, 2**32))
def test_every_click_lies_on_what_it_is_said_to_be(signs, seed):
    missed, extra = signs == 1, signs == -1
    rng = np.random.default_rng(seed)
    for click in (farthest_click(missed, extra), random_click(missed, extra, rng)):
        assert (click is None) == (not signs.any())
        if click:
            assert (missed if click.label else extra)[click.y, click.x]
    inside = first_click(missed, rng)
    assert inside is None or (missed[inside.y, inside.x] and inside.label == 1)


def test_random_clicks_are_spread_evenly_over_the_errors(rng):
    missed, extra = rectangle(80, 2, 82, 5), rectangle(4, 30, 6, 32)
    found = [random_click(missed, extra, rng) for _ in range(5000)]
    pixels, counts = np.unique([(c.x, c.y, c.label) for c in found], axis=0, return_counts=True)
    expected = [(x, y, 0) for x in (4, 5) for y in (30, 31)]
    expected += [(x, y, 1) for x in (80, 81) for y in (2, 3, 4)]
    assert pixels.tolist() == [list(place) for place in expected]
    assert counts.min() > 400
    assert counts.max() < 600


@pytest.mark.parametrize("kind", [np.bool_, np.uint8])
def test_errors_are_what_is_missed_and_what_is_too_much(kind):
    true, predicted = rectangle(10, 5, 20, 15), rectangle(15, 5, 25, 15)
    missed, extra = errors(predicted.astype(kind), true.astype(kind))
    assert (missed == rectangle(10, 5, 15, 15)).all()
    assert (extra == rectangle(20, 5, 25, 15)).all()
    assert missed.dtype == extra.dtype == np.bool_


def test_ignored_pixels_are_no_errors():
    true, predicted = rectangle(10, 5, 20, 15), rectangle(15, 5, 25, 15)
    missed, extra = errors(predicted, true, ignore=rectangle(0, 0, WIDTH, 10))
    assert (missed == rectangle(10, 10, 15, 15)).all()
    assert (extra == rectangle(20, 10, 25, 15)).all()


def test_masks_of_different_shape_are_refused(rng):
    with pytest.raises(ShapeError, match="true has shape"):
        errors(NONE, NONE.T)
    with pytest.raises(ShapeError, match="ignore has shape"):
        errors(NONE, NONE, NONE.T)
    with pytest.raises(ShapeError, match="extra has shape"):
        farthest_click(NONE, NONE.T)
    with pytest.raises(ShapeError, match="extra has shape"):
        random_click(NONE, NONE.T, rng)


@given(nps.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 12))))
def test_the_box_of_a_mask_is_that_of_masks(mask):
    if mask.any():
        assert box_of(mask) == tuple(Masks.from_arrays(mask[None]).boxes[0].tolist())
    else:
        with pytest.raises(PromptError, match="no box"):
            box_of(mask)


@given(
    st.tuples(st.integers(0, 89), st.integers(0, 39)),
    st.tuples(st.integers(1, 90), st.integers(1, 40)),
    st.floats(0, 3),
    st.integers(0, 2**32),
)
def test_a_jittered_box_has_an_area_and_lies_in_the_image(corner, sides, share, seed):
    box = (*corner, min(corner[0] + sides[0], WIDTH), min(corner[1] + sides[1], HEIGHT))
    found = jittered_box(box, Size(HEIGHT, WIDTH), np.random.default_rng(seed), share=share)
    x0, y0, x1, y1 = found
    assert 0 <= x0 < x1 <= WIDTH
    assert 0 <= y0 < y1 <= HEIGHT
    assert np.abs(np.subtract(found, box)).max() <= 20


def test_the_noise_of_a_box_is_a_tenth_of_its_side_and_no_more_than_most(rng):
    box, size = (1000, 2000, 1100, 2050), Size(4000, 3000)
    moves = np.array([jittered_box(box, size, rng) for _ in range(4000)]) - box
    np.testing.assert_allclose(moves.std(axis=0), [10, 5, 10, 5], rtol=0.06)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=0.6)
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 0.06
    limited = np.array([jittered_box(box, size, rng, most=3) for _ in range(100)]) - box
    assert np.abs(limited).max() == 3
    assert jittered_box(box, size, rng, share=0) == box


def test_chance_belongs_to_a_sample_and_an_epoch():
    def draws(*key):
        return tuple(generator(*key).integers(0, 2**60, 4))

    keys = [
        (0, 0, "a"),
        (0, 0, "b"),
        (0, 1, "a"),
        (1, 0, "a"),
        (1, 11, "a"),
        (11, 1, "a"),
        (0, 1, "1a"),
    ]
    keys += [(0, 11, "a")]
    assert len({draws(*key) for key in keys}) == len(keys)
    assert [draws(*key) for key in keys] == [draws(*key) for key in reversed(keys)][::-1]


def test_another_process_has_the_same_chance():
    code = (
        "from samphire.evaluation.prompts import generator\n"
        "print(generator(3, 4, 'x.png').integers(2**60))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(there) == generator(3, 4, "x.png").integers(2**60)
