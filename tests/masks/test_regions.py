"""Small holes and islands against SciPy's labels of whole dense images."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from samphire.masks import Masks
from samphire.masks.regions import drop_islands, fill_holes, without_small_regions

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=11))
areas = st.integers(0, 8)
NEIGHBOURS = {4: ndimage.generate_binary_structure(2, 1), 8: np.ones((3, 3))}


def _parts(mask, connectivity):
    """Each connected part as a dense mask."""
    labels, count = ndimage.label(mask, NEIGHBOURS[connectivity])
    return [labels == label for label in range(1, count + 1)]


def _reaches_the_border(mask):
    return mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()


@given(stacks, areas)
def test_small_holes_that_do_not_reach_the_border_are_filled(dense, max_area):
    expected = dense.copy()
    for mask, before in zip(expected, dense, strict=True):
        for part in _parts(~before, 4):
            if part.sum() < max_area and not _reaches_the_border(part):
                mask[part] = True
    found = fill_holes(Masks.from_arrays(dense), max_area)
    assert np.array_equal(found.to_array(), expected)
    assert found.edited.tolist() == (expected != dense).any(axis=(1, 2)).tolist()


@given(stacks, areas)
def test_small_islands_go_and_the_largest_part_stays(dense, max_area):
    found = drop_islands(Masks.from_arrays(dense), max_area)
    for before, after in zip(dense, found.to_array(), strict=True):
        parts = _parts(before, 8)
        large = [part for part in parts if part.sum() >= max_area]
        if large:
            assert np.array_equal(after, np.any(large, axis=0))
        else:  # which of equals stays is not promised
            assert after.sum() == max([part.sum() for part in parts], default=0)
            assert not parts or any(np.array_equal(after, part) for part in parts)
    assert found.edited.tolist() == (found.to_array() != dense).any(axis=(1, 2)).tolist()


@given(stacks, areas)
def test_boxes_are_tight_after_both(dense, max_area):
    cleaned = drop_islands(fill_holes(Masks.from_arrays(dense), max_area), max_area)
    tight = Masks.from_arrays(cleaned.to_array())
    assert np.array_equal(cleaned.boxes, tight.boxes)
    assert all(map(np.array_equal, cleaned.runs, tight.runs))


@given(stacks, areas, st.booleans())
def test_the_defaults_are_the_published_ways(dense, max_area, holes):
    mask = dense[0]
    after, changed = without_small_regions(mask, max_area, holes=holes)
    parts = _parts(~mask if holes else mask, 8)
    small = [part for part in parts if part.sum() < max_area]
    assert changed == bool(small)
    if holes:
        assert np.array_equal(after, np.any([mask, *small], axis=0))
    elif len(small) < len(parts):
        assert np.array_equal(after, mask & ~np.any([mask & False, *small], axis=0))
    else:
        assert after.sum() == max([part.sum() for part in parts], default=0)


def test_a_notch_in_the_border_is_no_hole_but_counts_as_one_the_published_way():
    notched = np.ones((5, 7), bool)
    notched[0, 2:5] = False
    assert not fill_holes(Masks.from_arrays([notched]), 9).edited.any()
    after, changed = without_small_regions(notched, 9, holes=True)
    assert after.all()
    assert changed


def test_a_hole_that_meets_the_outside_at_a_corner_is_filled():
    mask = np.ones((4, 4), bool)
    mask[0, 0] = mask[1, 1] = False
    found = fill_holes(Masks.from_arrays([mask]), 2).to_array()[0]
    assert np.argwhere(~found).tolist() == [[0, 0]]
    assert not without_small_regions(mask, 2, holes=True)[1]


def test_parts_that_meet_at_a_corner_are_one_island():
    assert not drop_islands(Masks.from_arrays([np.eye(4)]), 4).edited.any()


@pytest.mark.parametrize("clean", [fill_holes, drop_islands])
def test_scores_stay_and_edited_is_never_unset(clean, rng):
    masks = dataclasses.replace(
        Masks.from_arrays(rng.random((3, 20, 20)) > [[[0.1]], [[0.9]], [[-1]]]),
        predicted_iou=np.array([0.9, 0.8, 0.7]),
        stability=np.array([0.3, 0.2, 0.1]),
        label=np.arange(3),
        edited=np.array([False, False, True]),
    )
    found = clean(masks, 4)
    assert found.edited.tolist() == [clean is fill_holes, clean is drop_islands, True]
    restored = dataclasses.replace(found, boxes=masks.boxes, runs=masks.runs, edited=masks.edited)
    assert restored.equal(masks)


@pytest.mark.parametrize("clean", [fill_holes, drop_islands])
def test_empty_masks_and_no_masks_stay_as_they_are(clean):
    empty = Masks.from_arrays(np.zeros((2, 3, 3)))
    assert clean(empty, 5).equal(empty)
    assert clean(empty[:0], 5).equal(empty[:0])
    assert without_small_regions(np.zeros((0, 0), bool), 5, holes=True)[1] is False
