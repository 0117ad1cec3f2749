"""Parents and levels against a plain search through dense masks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.hierarchy import hierarchy, levels

stacks = arrays(np.bool_, st.tuples(st.integers(1, 7), st.just(2), st.just(3)))


def _parents(dense, share):
    """The parent of each mask by a search through all others."""
    rank = [(-int(mask.sum()), index) for index, mask in enumerate(dense)]
    found = []
    for index, mask in enumerate(dense):
        holders = [
            rank[other]
            for other in range(len(dense))
            if rank[other] < rank[index]
            and mask.any()
            and (mask & dense[other]).sum() / mask.sum() >= share
        ]
        found.append(max(holders)[1] if holders else -1)
    return found


@given(stacks, st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_the_parent_is_the_smallest_larger_mask_that_holds_the_share(dense, share):
    found = hierarchy(Masks.from_arrays(dense), containment=share)
    assert found.parent.tolist() == _parents(dense, share)


@given(stacks)
def test_levels_are_the_lengths_of_the_chains(dense):
    masks = hierarchy(Masks.from_arrays(dense), containment=0.5)
    for index, depth in enumerate(levels(masks)):
        chain, at = 0, masks.parent[index]
        while at >= 0:
            chain, at = chain + 1, masks.parent[at]
        assert depth == chain


def test_a_tenth_may_stick_out_and_no_more():
    dense = np.zeros((3, 1, 40), bool)
    dense[0, 0, :20] = dense[1, 0, 11:21] = dense[2, 0, 12:22] = True
    assert hierarchy(Masks.from_arrays(dense)).parent.tolist() == [-1, 0, 1]
    assert hierarchy(Masks.from_arrays(dense[[0, 2]])).parent.tolist() == [-1, -1]


def test_equal_masks_are_a_chain_and_no_circle():
    found = hierarchy(Masks.from_arrays(np.ones((4, 2, 2))))
    assert found.parent.tolist() == [-1, 0, 1, 2]
    assert levels(found).tolist() == [0, 1, 2, 3]


def test_only_the_parents_change():
    masks = dataclasses.replace(
        Masks.from_arrays(np.ones((2, 2, 2))),
        predicted_iou=np.array([0.5, 0.6]),
        parent=np.array([1, 0]),
        name=("dog", "cat"),
    )
    found = hierarchy(masks)
    assert dataclasses.replace(found, parent=masks.parent).equal(masks)


def test_no_masks_have_no_parents_and_no_levels():
    none = Masks.from_runs(Size(3, 4), [], ())
    assert hierarchy(none).equal(none)
    assert levels(none).shape == (0,)


@pytest.mark.parametrize("share", [0, 1.1, -1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="expected a share above 0 and at most 1"):
        hierarchy(Masks.from_arrays(np.ones((1, 2, 2))), containment=share)


@pytest.mark.parametrize(
    ("parent", "message"),
    [([1, 0], "in a circle"), ([0, -1], "in a circle")],
)
def test_parents_that_cannot_be_are_refused(parent, message):
    masks = dataclasses.replace(Masks.from_arrays(np.ones((2, 2, 2))), parent=np.array(parent))
    with pytest.raises(ValueError, match=message):
        levels(masks)
