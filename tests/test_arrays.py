import numpy as np
import pytest

from samphire.arrays import read_only, same_array


def test_read_only_leaves_the_callers_array_writable_and_apart():
    given = np.array([1.0, 2.0], np.float32)
    made = read_only(given, np.float32)
    given[0] = 9
    assert made.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        made[0] = 9


def test_read_only_copies_nothing_that_is_already_so():
    made = read_only([1, 2], np.float32)
    assert read_only(made, np.float32) is made
    assert read_only(made, np.float64) is not made


def test_read_only_gives_a_contiguous_array_of_the_type():
    made = read_only(np.arange(6).reshape(2, 3).T, np.int32)
    assert made.flags.c_contiguous
    assert made.dtype == np.int32
    assert made.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_read_only_view_in_another_order_is_made_contiguous():
    view = read_only([[1, 2], [3, 4]], np.int32).T
    assert not view.flags.writeable
    assert read_only(view, np.int32).flags.c_contiguous


def test_same_array_needs_shape_type_and_values():
    one = np.array([1.0, np.nan])
    assert same_array(one, one.copy())
    assert same_array(None, None)
    assert same_array(np.array([1, 2]), np.array([1, 2]))
    assert not same_array(one, None)
    assert not same_array(None, one)
    assert not same_array(one, np.array([1.0, 2.0]))
    assert not same_array(one, one[None])
    assert not same_array(np.array([1], np.int32), np.array([1], np.int64))
