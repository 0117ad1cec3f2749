"""A window: what it says of a volume, and that its text says all of it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from samphire.errors import ImageError
from samphire.images.window import PERCENTILES, WINDOWS, Window, parse_window

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, FINITE)
def test_the_text_of_two_intensities_gives_the_same_window(one, other):
    assume(one != other)
    window = Window(min(one, other), max(one, other))
    assert parse_window(str(window)) == window


@given(st.floats(0, 100), st.floats(0, 100))
def test_the_text_of_two_percentiles_gives_the_same_window(one, other):
    assume(one != other)
    window = Window(min(one, other), max(one, other), percentile=True)
    assert parse_window(str(window)) == window


@pytest.mark.parametrize(
    ("name", "width", "level"),
    [("ct-soft-tissue", 400, 40), ("ct-lung", 1500, -160), ("ct-brain", 80, 40)],
)
def test_presets_are_the_published_width_and_level(name, width, level):
    window = parse_window(name)
    assert (window.high - window.low, (window.high + window.low) / 2) == (width, level)
    assert window.ends(np.zeros((2, 2, 2))) == (window.low, window.high)


def test_every_preset_is_kept_as_numbers():
    assert [str(window) for window in WINDOWS.values()] == [
        *("-160,240", "-910,590", "0,80", "percentile:0.5-99.5")
    ]


@pytest.mark.parametrize(
    "text",
    ["", "ct", "1", "1,2,3", "a,b", "nan,1", "0,inf", "5,5", "9,1", "percentile:", "percentile:5",
     "percentile:-1-99", "percentile:1-101", "percentile:60-40", "percentile:1,99"],
)  # fmt: skip
def test_other_texts_are_one_error(text):
    with pytest.raises(ImageError, match="expected"):
        parse_window(text)


def test_percentiles_are_of_voxels_that_are_not_0_and_finite(rng):
    inside = rng.normal(1000, 100, 5000).astype(np.float32)
    volume = np.concatenate([inside, np.zeros(49_998), [np.nan, np.inf]]).reshape(2, -1, 5)
    expected = np.percentile(inside, (0.5, 99.5))
    np.testing.assert_allclose(PERCENTILES.ends(volume), expected, rtol=1e-5)


def test_the_layout_in_memory_does_not_move_the_window(rng):
    volume = rng.integers(-50, 900, (5, 6, 7)).astype(np.int16)
    turned = np.flip(volume.transpose(2, 0, 1), 1)
    assert PERCENTILES.ends(turned) == PERCENTILES.ends(volume)


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_volume_of_nothing_has_a_window_all_the_same(value):
    assert PERCENTILES.ends(np.full((2, 2, 2), value)) == (0, 0)
