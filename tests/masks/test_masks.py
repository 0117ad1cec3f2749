import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from samphire.errors import FileFormatError, ShapeError
from samphire.geometry import Size
from samphire.masks import Masks, rle

quick = settings(max_examples=80)
stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=9))
COLUMNS = [field.name for field in dataclasses.fields(Masks)]


@pytest.fixture
def three(rng):
    """Three masks on 7x5 whose columns all differ from mask to mask."""
    made = Masks.from_arrays(rng.random((3, 5, 7)) > 0.6)
    return dataclasses.replace(
        made,
        predicted_iou=np.array([0.9, 0.8, 0.7]),
        stability=np.array([0.3, 0.2, 0.1]),
        prompt_index=np.array([0, 0, 1]),
        candidate=np.array([1, 2, 0]),
        point=np.array([[1.5, 2], [3, 4], [5, 0]]),
        crop_box=np.array([[0, 0, 7, 5], [1, 1, 3, 3], [2, 2, 7, 5]]),
        parent=np.array([-1, 0, 1]),
        label=np.array([3, 2, 1]),
        name=("dog", "", "cat"),
    )


@quick
@given(stacks)
def test_dense_masks_come_back_as_they_went_in(dense):
    assert np.array_equal(Masks.from_arrays(dense).to_array(), dense)


@quick
@given(stacks)
def test_area_and_tight_box_are_those_of_the_dense_masks(dense):
    masks = Masks.from_arrays(dense)
    assert masks.area.tolist() == dense.sum(axis=(1, 2)).tolist()
    for box, mask in zip(masks.boxes.tolist(), dense, strict=True):
        rows, columns = np.nonzero(mask)
        tight = (
            [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
        )
        assert box == tight


@quick
@given(stacks)
def test_the_window_is_the_dense_mask_cut_to_its_box(dense):
    masks = Masks.from_arrays(dense)
    for index, (x0, y0, x1, y1) in enumerate(masks.boxes):
        assert np.array_equal(masks.window(index), dense[index, y0:y1, x0:x1])


@quick
@given(stacks)
def test_image_runs_are_the_runs_of_the_dense_mask(dense):
    masks = Masks.from_arrays(dense)
    for index, mask in enumerate(dense):
        assert np.array_equal(masks.image_runs(index), rle.encode(mask))


def test_whatever_is_not_zero_is_on():
    assert Masks.from_arrays([[[0, 255], [0.5, -1]]]).area.tolist() == [3]


def test_a_dense_mask_without_the_axis_of_masks_is_refused():
    with pytest.raises(ShapeError, match=r"expected \(N, H, W\)"):
        Masks.from_arrays(np.zeros((4, 4)))


def test_columns_that_were_not_given_say_none():
    masks = Masks.from_arrays(np.ones((2, 3, 4)))
    assert np.isnan(masks.predicted_iou).all()
    assert np.isnan(masks.stability).all()
    assert np.isnan(masks.point).all()
    assert (
        masks.prompt_index.tolist() == masks.candidate.tolist() == masks.parent.tolist() == [-1, -1]
    )
    assert masks.crop_box.tolist() == [[0, 0, 4, 3]] * 2
    assert masks.label.tolist() == [0, 0]
    assert masks.name == ("", "")


@pytest.mark.parametrize("column", [*COLUMNS[1:], "area"])
def test_no_column_can_be_changed(three, column):
    values = getattr(three, column)
    for array in values if isinstance(values, tuple) else [values]:
        if isinstance(array, np.ndarray):
            assert not array.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(three, column, values)


def test_masks_do_not_follow_the_arrays_they_were_made_of():
    scores = np.array([0.5])
    masks = dataclasses.replace(Masks.from_arrays(np.ones((1, 2, 2))), predicted_iou=scores)
    scores[0] = 9
    assert masks.predicted_iou.tolist() == [0.5]


def test_a_parent_is_followed_or_lost_when_masks_are_chosen():
    family = dataclasses.replace(
        Masks.from_arrays(np.ones((4, 2, 2))), parent=np.array([-1, 0, 1, 0])
    )
    assert family[np.array([0, 2, 3])].parent.tolist() == [-1, -1, 0]
    assert family[::-1].parent.tolist() == [3, 2, 3, -1]


@pytest.mark.parametrize(
    ("index", "chosen"),
    [
        (0, [0]),
        (-1, [2]),
        (np.int64(1), [1]),
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (slice(3, None), []),
        (np.array([2, 0, 2]), [2, 0, 2]),
        (np.array([], int), []),
        (np.array([True, False, True]), [0, 2]),
        (np.zeros(3, bool), []),
    ],
    ids=str,
)
def test_an_index_chooses_the_same_masks_in_every_column(three, index, chosen):
    part = three[index]
    assert isinstance(part, Masks)
    assert len(part) == len(chosen)
    assert part.size == three.size
    assert np.array_equal(part.to_array(), three.to_array()[chosen])
    assert part.area.tolist() == three.area[chosen].tolist()
    for column in COLUMNS[1:]:
        if column in {"runs", "name", "parent"}:
            continue
        np.testing.assert_array_equal(getattr(part, column), getattr(three, column)[chosen])
    assert part.name == tuple(three.name[i] for i in chosen)


@pytest.mark.parametrize("index", [3, -4, np.array([5]), np.array([True])])
def test_an_index_beyond_the_last_mask_is_an_index_error(three, index):
    with pytest.raises(IndexError):
        three[index]


def test_iterating_gives_each_mask_as_masks(three):
    parts = list(three)
    assert [len(part) for part in parts] == [1, 1, 1]
    assert all(part.equal(three[i]) for i, part in enumerate(parts))


def test_no_masks_are_masks_too(three):
    none = three[:0]
    assert len(none) == 0
    assert list(none) == []
    assert none.to_array().shape == (0, 5, 7)
    assert none.area.shape == (0,)
    assert none.equal(Masks.from_runs(Size(5, 7), [], ()))


def test_equal_masks_are_equal(three):
    assert three.equal(dataclasses.replace(three))
    assert three.equal(three[np.arange(3)])


def test_empty_and_full_masks_are_not_equal():
    assert not Masks.from_arrays(np.zeros((1, 3, 3))).equal(Masks.from_arrays(np.ones((1, 3, 3))))


@pytest.mark.parametrize(
    "change",
    [
        {"size": Size(6, 7)},
        {"predicted_iou": np.array([0.9, 0.8, np.nan])},
        {"stability": np.zeros(3)},
        {"prompt_index": np.array([0, 0, 2])},
        {"candidate": np.zeros(3)},
        {"point": np.zeros((3, 2))},
        {"crop_box": np.zeros((3, 4))},
        {"parent": np.zeros(3)},
        {"label": np.zeros(3)},
        {"name": ("dog", "", "cow")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_masks_that_differ_in_one_column_are_not_equal(three, change):
    changed = dataclasses.replace(three, **change)
    assert not three.equal(changed)
    assert not changed.equal(three)


def test_masks_of_other_pixels_or_another_number_are_not_equal(three):
    assert not three.equal(three[:2])
    assert not three[:1].equal(three[1:2])


def test_a_column_of_another_length_is_refused(three):
    with pytest.raises(ShapeError, match=r"predicted_iou has shape \(2,\): expected \(3,\)"):
        dataclasses.replace(three, predicted_iou=np.zeros(2))
    with pytest.raises(ValueError, match="2 names for 3 masks"):
        dataclasses.replace(three, name=("a", "b"))


@pytest.mark.parametrize(
    "box", [(0, 0, 4, 1), (-1, 0, 1, 2), (0, -1, 2, 1), (0, 0, 1, 4), (2, 0, 0, 2), (2, 2, 0, 0)]
)
def test_a_box_that_is_reversed_or_outside_is_refused(box):
    with pytest.raises(FileFormatError, match="expected a box inside 3x3"):
        Masks.from_runs(Size(3, 3), [box], (np.array([0, 4], np.uint32),))


@pytest.mark.parametrize("runs", [[0, 3], [0, 5], [], [4, 2**32 - 1]])
def test_runs_that_do_not_fill_their_box_are_refused(runs):
    with pytest.raises(FileFormatError, match="and as many pixels"):
        Masks.from_runs(Size(3, 3), [(0, 0, 2, 2)], (np.array(runs, np.uint32),))


def test_they_print_in_one_line(three):
    assert repr(three) == "Masks(3 on 7x5)"


def test_a_thousand_masks_on_a_hundred_megapixels_take_a_few_hundred_kilobytes():
    runs = rle.encode(np.hypot(*np.mgrid[-20:21, -20:21]) <= 20)
    boxes = [(9 * i, 8 * i, 9 * i + 41, 8 * i + 41) for i in range(1000)]
    tracemalloc.start()
    masks = Masks.from_runs(Size(10_000, 10_000), boxes, (runs.astype(np.int64),) * 1000)
    assert masks.area.sum() == 1000 * rle.area(runs)
    assert masks.window(999).shape == (41, 41)
    assert rle.area(masks.image_runs(999)) == rle.area(runs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("parent", [-2, 2])
def test_a_parent_that_is_not_there_is_refused(parent):
    masks = Masks.from_arrays(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="expected the index of one of 2 masks, or -1"):
        dataclasses.replace(masks, parent=np.array([-1, parent]))
