"""Set algebra on run lengths against dense arrays and pycocotools."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from samphire.geometry import Size
from samphire.masks import Masks, rle
from samphire.masks.algebra import concat, difference, intersection, union, union_all

HEIGHT, WIDTH = 5, 6
COLUMNS = [field.name for field in dataclasses.fields(Masks)]
OPERATIONS = {
    union: np.logical_or,
    intersection: np.logical_and,
    difference: lambda left, right: left & ~right,
}


def stacks(count):
    return arrays(np.bool_, st.tuples(count, st.just(HEIGHT), st.just(WIDTH)))


@pytest.fixture
def family(rng):
    """Four masks whose columns all differ from mask to mask."""
    return dataclasses.replace(
        Masks.from_arrays(rng.random((4, HEIGHT, WIDTH)) > 0.5),
        predicted_iou=np.array([0.9, 0.8, 0.7, 0.6]),
        stability=np.array([0.4, 0.3, 0.2, 0.1]),
        prompt_index=np.arange(4),
        candidate=np.array([1, 2, 0, 3]),
        point=np.arange(8.0).reshape(4, 2),
        crop_box=np.arange(16).reshape(4, 4),
        parent=np.array([-1, 0, 1, 0]),
        label=np.array([3, 2, 1, 0]),
        edited=np.array([False, True, False, False]),
        name=("dog", "", "cat", "cow"),
    )


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_each_operation_is_the_dense_one_in_tight_boxes(operation, data):
    left = data.draw(stacks(st.integers(0, 4)))
    right = data.draw(stacks(st.sampled_from([1, len(left)])))
    made = operation(Masks.from_arrays(left), Masks.from_arrays(right))
    expected = Masks.from_arrays(OPERATIONS[operation](left, right).reshape(left.shape))
    assert len(made) == len(left)
    assert np.array_equal(made.to_array(), expected.to_array())
    assert np.array_equal(made.boxes, expected.boxes)
    assert all(map(np.array_equal, made.runs, expected.runs))


@given(stacks(st.integers(1, 5)))
def test_one_mask_of_all_is_that_of_pycocotools(dense):
    encoded = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in dense]
    merged = coco.merge(encoded)["counts"].decode()
    made = union_all(Masks.from_arrays(dense))
    assert rle.to_coco(made.image_runs(0)) == merged
    assert len(made) == 1
    assert made.edited.all()


def test_one_mask_of_no_masks_is_empty():
    made = union_all(Masks.from_runs(Size(3, 4), [], ()))
    assert made.area.tolist() == [0]
    assert made.size == Size(3, 4)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_columns_of_the_left_stay_and_edited_is_set(family, operation):
    made = operation(family, family[::-1])
    assert made.edited.all()
    for column in set(COLUMNS) - {"boxes", "runs", "edited", "size", "name"}:
        np.testing.assert_array_equal(getattr(made, column), getattr(family, column))
    assert made.name == family.name


@given(stacks(st.just(2)), st.data())
def test_runs_of_length_zero_change_no_combination(dense, data):
    runs = list(rle.encode(dense[0]))
    at = data.draw(st.integers(0, len(runs) - 1))
    part = data.draw(st.integers(0, int(runs[at])))
    split = np.array([*runs[:at], part, 0, runs[at] - part, *runs[at + 1 :]], np.uint32)
    found = rle.combine(split, rle.encode(dense[1]), np.logical_or)
    assert np.array_equal(found, rle.encode(dense[0] | dense[1]))


@pytest.mark.parametrize("counts", [(3, 2), (1, 4), (4, 0)])
def test_numbers_that_do_not_fit_are_refused(family, counts):
    left, right = (family[: min(count, 4)] for count in counts)
    with pytest.raises(ValueError, match=f"{counts[0]} masks with {counts[1]} masks: expected as"):
        union(left, right)


@pytest.mark.parametrize("together", [*OPERATIONS, lambda left, right: concat([left, right])])
def test_images_of_different_sizes_are_refused(together):
    left, right = Masks.from_arrays(np.ones((1, 2, 3))), Masks.from_arrays(np.ones((1, 3, 2)))
    with pytest.raises(ValueError, match="masks on 3x2 and on 2x3: expected"):
        together(left, right)


def test_joined_masks_have_all_columns_and_their_parents_follow(family):
    joined = concat([family[:0], family, family[[2, 0]], family[:1]])
    rows = [0, 1, 2, 3, 2, 0, 0]
    assert joined.parent.tolist() == [-1, 0, 1, 0, -1, -1, -1]
    assert concat([family, family]).parent.tolist() == [-1, 0, 1, 0, -1, 4, 5, 4]
    assert np.array_equal(joined.to_array(), family.to_array()[rows])
    for column in set(COLUMNS) - {"size", "runs", "name", "parent"}:
        np.testing.assert_array_equal(getattr(joined, column), getattr(family, column)[rows])
    assert joined.name == tuple(family.name[row] for row in rows)


def test_one_part_joined_is_itself_and_no_part_is_refused(family):
    assert concat([family]).equal(family)
    with pytest.raises(ValueError, match="expected at least one"):
        concat([])


@pytest.mark.slow
def test_algebra_of_a_thousand_masks_on_twenty_megapixels_takes_a_few_megabytes():
    runs = rle.encode(np.hypot(*np.mgrid[-20:21, -20:21]) <= 20)
    boxes = [(4 * i, 3 * i, 4 * i + 41, 3 * i + 41) for i in range(1000)]
    masks = Masks.from_runs(Size(4000, 5000), boxes, (runs,) * 1000)
    tracemalloc.start()
    apart = intersection(masks, masks[[0]])
    whole = union_all(masks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.flatnonzero(apart.area).tolist() == list(range(9))  # the last by one pixel
    assert whole.area[0] < masks.area.sum()
    assert peak < 10_000_000
