"""The label map against a plain search through dense masks."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.partition import partition

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=7))


@given(stacks)
def test_a_pixel_belongs_to_the_smallest_mask_that_has_it_and_of_equals_to_the_last(dense):
    found = partition(Masks.from_arrays(dense))
    assert found.dtype == np.int32
    assert found.shape == dense.shape[1:]
    for y, x in np.ndindex(found.shape):
        there = np.flatnonzero(dense[:, y, x]).tolist()
        smallest = min(there, key=lambda index: (dense[index].sum(), -index), default=-1)
        assert found[y, x] == smallest + 1


@given(stacks, st.randoms())
def test_the_order_of_masks_does_not_matter_where_their_areas_differ(dense, random):
    masks = Masks.from_arrays(dense)
    masks = masks[np.unique(masks.area, return_index=True)[1]]
    order = random.sample(range(len(masks)), len(masks))
    names = np.array([0, *(place + 1 for place in order)])
    assert np.array_equal(names[partition(masks[np.array(order)])], partition(masks))


def test_a_mask_that_is_covered_is_not_in_the_map():
    whole, half = np.ones((2, 4)), np.pad(np.ones((2, 2)), ((0, 0), (0, 2)))
    assert np.unique(partition(Masks.from_arrays([whole, half, half]))).tolist() == [1, 3]


def test_no_masks_are_all_background():
    assert not partition(Masks.from_runs(Size(3, 4), [], ())).any()


@pytest.mark.slow
def test_hundreds_of_masks_on_twenty_megapixels_cost_one_map():
    size, whole = Size(4000, 5000), np.array([0, 20_000_000], np.uint32)
    boxes = [(0, 0, 5000, 4000)] + [(4 * i, 3 * i, 4 * i + 40, 3 * i + 40) for i in range(500)]
    masks = Masks.from_runs(size, boxes, (whole, *(np.array([0, 1600], np.uint32),) * 500))
    tracemalloc.start()
    label_map = partition(masks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert label_map.max() == 501
    assert peak < 110e6  # the map, and one window that is the whole picture
