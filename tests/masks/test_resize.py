"""Masks at another size against an index into dense images."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.resize import resize

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=9))
sides = st.integers(1, 20)


def _read(length, new):
    return np.floor((np.arange(new) + 0.5) * length / new).astype(int)


@given(stacks, sides, sides)
def test_each_pixel_is_the_old_one_under_its_centre_in_tight_boxes(dense, height, width):
    rows, columns = _read(dense.shape[1], height), _read(dense.shape[2], width)
    expected = Masks.from_arrays(dense[:, rows][:, :, columns])
    made = resize(Masks.from_arrays(dense), Size(height, width))
    assert made.size == Size(height, width)
    assert np.array_equal(made.to_array(), expected.to_array())
    assert np.array_equal(made.boxes, expected.boxes)
    assert all(map(np.array_equal, made.runs, expected.runs))


@given(stacks, st.integers(1, 4), st.integers(1, 4))
def test_enlarging_by_whole_numbers_repeats_pixels_and_back_is_the_identity(dense, tall, wide):
    masks = Masks.from_arrays(dense)
    large = resize(masks, Size(masks.size.height * tall, masks.size.width * wide))
    assert np.array_equal(large.to_array(), dense.repeat(tall, axis=1).repeat(wide, axis=2))
    back = resize(large, masks.size)
    assert dataclasses.replace(back, edited=masks.edited).equal(masks)


def test_points_and_crops_are_scaled_and_the_other_columns_stay():
    masks = dataclasses.replace(
        Masks.from_arrays(np.ones((2, 10, 20))),
        predicted_iou=np.array([0.9, 0.8]),
        point=np.array([[4, 5], [np.nan, np.nan]]),
        crop_box=np.array([[0, 0, 20, 10], [1, 3, 7, 9]]),
        name=("dog", "cat"),
        parent=np.array([-1, 0]),
    )
    made = resize(masks, Size(15, 10))
    np.testing.assert_array_equal(made.point, [[2, 7.5], [np.nan, np.nan]])
    assert made.crop_box.tolist() == [[0, 0, 10, 15], [0, 4, 4, 14]]
    assert made.edited.all()
    for column in ("predicted_iou", "stability", "parent", "name"):
        np.testing.assert_array_equal(getattr(made, column), getattr(masks, column))


def test_the_same_size_changes_nothing():
    masks = Masks.from_arrays(np.eye(4)[None])
    assert resize(masks, Size(4, 4)).equal(masks)
    assert not resize(masks, Size(4, 4)).edited.any()


def test_a_mask_thinner_than_a_new_pixel_becomes_empty():
    line = np.zeros((1, 9, 9))
    line[0, :, 0] = 1
    made = resize(Masks.from_arrays(line), Size(3, 3))
    assert made.boxes.tolist() == [[0, 0, 0, 0]]
    assert made.area.tolist() == [0]


def test_no_masks_are_resized_to_no_masks():
    assert resize(Masks.from_runs(Size(3, 4), [], ()), Size(5, 6)).to_array().shape == (0, 5, 6)


@pytest.mark.slow
def test_small_masks_on_a_large_picture_take_little_memory():
    boxes = [(4 * i, 3 * i, 4 * i + 40, 3 * i + 40) for i in range(1000)]
    masks = Masks.from_runs(Size(4000, 5000), boxes, (np.array([0, 1600], np.uint32),) * 1000)
    tracemalloc.start()
    made = resize(masks, Size(2000, 2500))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(made.area.tolist()) == {400}
    assert peak < 2_000_000
