import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from samphire.errors import FileFormatError
from samphire.masks import rle

quick = settings(max_examples=150)
masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=14))
counts = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12)


def _coco_string(mask):
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def _tight_box(mask):
    if not mask.any():
        return (0, 0, 0, 0)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def test_runs_go_down_the_columns_and_start_with_the_background():
    mask = np.array([[1, 0, 1], [1, 0, 0]], bool)
    assert rle.encode(mask).tolist() == [0, 2, 2, 1, 1]
    assert rle.encode(mask).dtype == np.uint32


@quick
@given(masks)
def test_decode_undoes_encode(mask):
    assert np.array_equal(rle.decode(rle.encode(mask), *mask.shape), mask)


@quick
@given(masks)
def test_area_is_the_number_of_pixels_that_are_on(mask):
    assert rle.area(rle.encode(mask)) == mask.sum()


@quick
@given(masks)
def test_the_string_is_byte_for_byte_that_of_pycocotools(mask):
    assert rle.to_coco(rle.encode(mask)) == _coco_string(mask)


@quick
@given(masks)
def test_a_string_of_pycocotools_is_read(mask):
    assert np.array_equal(rle.from_coco(_coco_string(mask)), rle.encode(mask))


@quick
@given(masks)
def test_narrow_gives_the_tight_box_and_the_runs_inside_it(mask):
    box, runs = rle.narrow(rle.encode(mask), mask.shape[0])
    x0, y0, x1, y1 = box
    assert box == _tight_box(mask)
    assert np.array_equal(rle.decode(runs, y1 - y0, x1 - x0), mask[y0:y1, x0:x1])


@quick
@given(masks)
def test_widen_undoes_narrow(mask):
    box, runs = rle.narrow(rle.encode(mask), mask.shape[0])
    assert np.array_equal(rle.widen(runs, box, *mask.shape), rle.encode(mask))


@quick
@given(masks, st.tuples(*[st.integers(0, 5)] * 4))
def test_widen_puts_any_window_where_its_box_says(mask, margins):
    top, bottom, left, right = margins
    height, width = mask.shape
    whole = np.pad(mask, ((top, bottom), (left, right)))
    box = (left, top, left + width, top + height)
    assert np.array_equal(rle.widen(rle.encode(mask), box, *whole.shape), rle.encode(whole))


@quick
@given(masks, st.data())
def test_runs_of_length_zero_change_nothing(mask, data):
    runs = list(rle.encode(mask))
    at = data.draw(st.integers(0, len(runs) - 1))
    part = data.draw(st.integers(0, int(runs[at])))
    split = np.array([*runs[:at], part, 0, runs[at] - part, *runs[at + 1 :]], np.uint32)
    assert rle.area(split) == mask.sum()
    assert np.array_equal(rle.decode(split, *mask.shape), mask)
    box, narrow = rle.narrow(split, mask.shape[0])
    assert np.array_equal(rle.widen(narrow, box, *mask.shape), rle.encode(mask))


@quick
@given(counts)
@example([2**32 - 1, 0, 2**32 - 1, 0])
def test_counts_of_any_size_go_there_and_back_through_the_string(values):
    assert rle.from_coco(rle.to_coco(np.array(values, np.uint32))).tolist() == values


@quick
@given(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
    | st.text("0_oOPn1`", max_size=30)
)
@example("\ud800")
@example("é")
@example("P")
@example("o" * 20)
@example("O")
def test_a_string_is_counts_of_32_bits_or_one_file_format_error(text):
    try:
        values = rle.from_coco(text)
    except FileFormatError:
        return
    assert values.dtype == np.uint32
    assert rle.from_coco(rle.to_coco(values)).tolist() == values.tolist()


@pytest.mark.parametrize("text", ["~", "1 3", "é", "\ud800", "P", "ooooooooooo1", "O", "\x00"])
def test_a_malformed_string_is_refused(text):
    with pytest.raises(FileFormatError, match="COCO run-length string"):
        rle.from_coco(text)


@pytest.mark.parametrize("runs", [[5], [7], [0], [2**32 - 1, 2**32 - 1]])
def test_runs_that_do_not_fill_the_mask_are_refused(runs):
    with pytest.raises(FileFormatError, match="expected 6 for a mask of 3x2"):
        rle.decode(np.array(runs, np.uint32), 2, 3)


def test_a_mask_beyond_32_bits_of_pixels_has_its_area():
    assert rle.area(np.array([0, 2**32 - 1, 0, 2**32 - 1], np.uint32)) == 2 * (2**32 - 1)


@quick
@given(masks)
def test_spans_are_the_pieces_of_each_column_and_give_the_runs_back(mask):
    height = mask.shape[0]
    column, top, bottom = rle.spans(rle.encode(mask), height)
    painted = np.zeros_like(mask)
    for x, start, end in zip(column, top, bottom, strict=True):
        assert not painted[max(start - 1, 0) : end + 1, x].any()  # they do not touch
        painted[start:end, x] = True
    assert np.array_equal(painted, mask)
    back = rle.from_pieces(column * height + top, column * height + bottom, mask.size)
    assert np.array_equal(back, rle.encode(mask))


@quick
@given(st.lists(st.tuples(st.integers(0, 29), st.integers(1, 9)), max_size=8))
def test_pieces_in_any_order_are_united(pieces):
    flat = np.zeros((40, 1), bool)
    for start, length in pieces:
        flat[start : start + length] = True
    starts, lengths = np.array(pieces, int).reshape(-1, 2).T
    assert np.array_equal(rle.from_pieces(starts, starts + lengths, 40), rle.encode(flat))
