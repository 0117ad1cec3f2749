import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from samphire.errors import ImageError
from samphire.images import intensity
from samphire.images.intensity import default_window, to_bytes
from samphire.images.read import read_image

DTYPES = ["u2", ">u2", "i2", ">i2", "u4", "i4", "u8", "i8", "f2", "f4", ">f4", "f8"]
INTEGERS = ["u2", ">u2", "i2", "u4", "i4", "u8", "i8"]


def _pictures(dtypes):
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
    return st.sampled_from(dtypes).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


WINDOWS = st.tuples(
    st.floats(-1e5, 1e5, allow_nan=False), st.floats(0.5, 1e5, allow_nan=False)
).map(lambda pair: (pair[0], pair[0] + pair[1]))


def _grey(values, window=None):
    """One channel of the picture; the three are equal."""
    found = read_image(values, window=window)
    assert found.dtype == np.uint8
    assert found.shape == (*values.shape, 3)
    assert (found == found[..., :1]).all()
    return found[..., 0]


@pytest.mark.parametrize(("bits", "white"), [(9, 511), (10, 1023), (12, 4095), (16, 65535)])
def test_integers_are_shown_by_the_fewest_bits_that_hold_them(bits, white):
    values = np.array([[0, white // 2, 2**bits - 1]], np.uint16)
    assert default_window(values, "scan") == (0, white)
    assert _grey(values).tolist() == [[0, 127, 255]]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_8_bit_values_in_a_deeper_type_are_the_8_bit_picture(dtype, rng):
    picture = rng.integers(0, 200, (5, 6, 3), np.uint8)
    assert np.array_equal(read_image(picture.astype(dtype)), picture)


def test_16_bit_values_of_257_times_an_8_bit_picture_are_that_picture():
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(_grey(picture.astype(np.uint16) * np.uint16(257)), picture)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8"])
def test_floats_within_0_and_1_are_black_to_white_and_not_stretched(dtype):
    assert _grey(np.array([[0.25, 0.5, 0.75]], dtype)).tolist() == [[64, 128, 191]]


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
def test_negative_values_are_shown_from_the_smallest_to_the_largest(dtype):
    assert _grey(np.array([[-1000, 0, 1000]], dtype)).tolist() == [[0, 128, 255]]


def test_floats_beyond_1_are_shown_from_the_smallest_to_the_largest():
    assert _grey(np.array([[800, 900, 1000]], np.float32)).tolist() == [[0, 128, 255]]


def test_nan_is_black_infinity_is_the_end_and_neither_moves_the_window():
    values = np.array([[np.nan, -np.inf, -100, 50, 200, np.inf]])
    assert default_window(values, "scan") == (-100, 200)
    assert _grey(values).tolist() == [[0, 0, 0, 128, 255, 255]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_picture_without_a_finite_value_is_refused(value):
    with pytest.raises(ImageError, match="the image array holds no finite value"):
        read_image(np.full((3, 3), value))


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [
        (0, "u2", 0),
        (65535, "u2", 255),
        (1000, "u2", 249),
        (0.5, "f4", 128),
        (7.5, "f4", 0),
        (-1000, "i2", 0),
    ],
)
def test_a_constant_picture_is_its_value_where_the_rule_is_fixed_and_else_black(
    value, dtype, shown
):
    assert (_grey(np.full((3, 4), value, dtype)) == shown).all()


def test_a_picture_that_comes_out_nearly_black_is_told_with_a_window_that_shows_it(caplog):
    values = np.linspace(100, 400, 2500).astype(np.uint16).reshape(50, 50)
    values[7, 7] = 65535  # one hot pixel
    assert np.percentile(_grey(values), 99) < 3
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    said = warning.getMessage()
    assert said.startswith("the image array will be nearly black: 99 of 100 values lie below 397")
    low, high = (float(text) for text in said.split("--window ")[1].split()[0].split(","))
    assert np.ptp(_grey(values, (low, high))) == 255


@pytest.mark.parametrize(
    ("values", "window"),
    [
        (np.arange(3000, dtype=np.uint16).reshape(50, 60), None),  # 0 to 3000 of 4095
        (np.full((9, 9), 7, np.uint16), None),
        (np.arange(81, dtype=np.uint16).reshape(9, 9), (0, 60_000)),
    ],
)
def test_a_picture_is_not_called_black_where_it_is_bright_constant_or_windowed(
    values, window, caplog
):
    _grey(values, window)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_which_values_are_black_and_white_is_told(caplog):
    caplog.set_level("INFO")
    _grey(np.array([[0, 3000]], np.uint16))
    assert "the image array: uint16 values, 0 shown black, 4095 white" in caplog.text


def test_a_window_is_linear_and_clips():
    values = np.array([[-3024, -160, -60, 40, 240, 3071]], np.int16)
    assert _grey(values, (-160, 240)).tolist() == [[0, 0, 64, 128, 255, 255]]


@pytest.mark.parametrize(
    "window", [(1, 1), (2, 1), (np.nan, 1), (0, np.inf), (1,), (1, 2, 3), ("a", 2), 5]
)
def test_a_window_that_is_none_is_refused(window):
    with pytest.raises(ImageError, match=r"the window is .*: expected two"):
        read_image(np.zeros((2, 2), np.uint16), window=window)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3), (3, 3, 4)])
def test_a_window_for_8_bits_is_refused(shape):
    for dtype in (np.uint8, bool):
        if dtype is np.uint8 or len(shape) == 2:
            with pytest.raises(ImageError, match="has 8 bits a channel: a window is for deeper"):
                read_image(np.zeros(shape, dtype), window=(0, 100))


def test_the_usual_window_is_for_deep_pixels_where_none_is_given():
    deep, shown = np.array([[0, 500, 1000]], np.uint16), np.array([[0, 50, 255]], np.uint8)
    assert read_image(deep, usual_window=(0, 1000))[0, :, 0].tolist() == [0, 128, 255]
    given = read_image(deep, window=(500, 600), usual_window=(0, 1000))
    assert given[0, :, 0].tolist() == [0, 0, 255]
    assert read_image(shown, usual_window=(0, 1000))[0, :, 0].tolist() == [0, 50, 255]


def test_the_channels_of_a_colour_picture_share_one_window():
    values = np.array([[[0, 1000, 4000], [4095, 2048, 1]]], np.uint16)
    assert read_image(values).tolist() == [[[0, 62, 249], [255, 128, 0]]]


@pytest.mark.parametrize(("dtype", "opaque"), [("u2", 65535), ("f4", 1), ("i4", 2**31 - 1)])
def test_alpha_has_the_range_of_its_type_and_no_part_in_the_window(dtype, opaque):
    values = np.zeros((1, 3, 4), dtype)
    values[0, :, :3] = 1
    values[0, :, 3] = [0, opaque / 2, opaque]
    white = 255 if dtype == "f4" else 1
    assert read_image(values)[0, :, 0].tolist() == [255, 255 if white == 255 else 128, white]


def test_a_picture_of_many_blocks_is_that_of_one(rng, monkeypatch):
    values = rng.normal(0, 1000, (37, 11, 3)).astype(np.float32)
    whole = read_image(values)
    monkeypatch.setattr(intensity, "_BLOCK", 50)
    assert np.array_equal(read_image(values), whole)


@settings(max_examples=150)
@given(_pictures(DTYPES))
def test_any_numbers_are_a_picture_or_refused_for_having_none(values):
    if not np.isfinite(values.astype(np.float64)).any():
        with pytest.raises(ImageError, match="no finite value"):
            read_image(values)
    else:
        _grey(values)


@settings(max_examples=100)
@given(_pictures(DTYPES), WINDOWS)
def test_a_brighter_value_is_never_shown_darker(values, window):
    shown = to_bytes(values, window)
    order = np.argsort(values, axis=None)
    ordered = values.ravel()[order]
    steps = np.diff(shown.ravel()[order].astype(int))
    assert (steps[~np.isnan(ordered[1:].astype(float))] >= 0).all()


@settings(max_examples=100)
@given(_pictures(DTYPES), WINDOWS)
def test_the_ends_of_a_window_are_black_and_white_and_all_beyond_them(values, window):
    shown, exact = to_bytes(values, window), values.astype(np.float64)
    assert (shown[exact <= window[0]] == 0).all()
    assert (shown[exact >= window[1]] == 255).all()
    assert (shown[np.isnan(exact)] == 0).all()


@settings(max_examples=100)
@given(_pictures(["i2", "u2"]))
def test_the_type_and_the_byte_order_do_not_change_an_integer_picture(values):
    for dtype in ("i4", ">i4", "i8"):
        assert np.array_equal(_grey(values), _grey(values.astype(dtype)))


@settings(max_examples=100)
@given(_pictures(["u2"]), WINDOWS)
def test_a_window_equals_the_formula(values, window):
    low, high = window
    exact = (np.clip(values.astype(np.float64), low, high) - low) / (high - low) * 255
    assert np.abs(to_bytes(values, window) - exact).max() <= 0.5 + 1e-6
