import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samphire.errors import PromptError, ShapeError
from samphire.geometry import Size
from samphire.prompts import InputPrompts, ObjectPrompt, Prompts

NAN, INF = float("nan"), float("inf")
numbers = st.integers(0, 999)
point_lists = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4)


def _said(prompts: Prompts) -> list[tuple]:
    """Points, labels and box of each object, as lists."""
    return [
        (
            item.points.tolist(),
            item.labels.tolist(),
            None if item.box is None else item.box.tolist(),
        )
        for item in prompts.objects
    ]


@given(point_lists)
@settings(max_examples=50)
def test_a_flat_list_of_points_is_one_object_labelled_1(points):
    (item,) = Prompts.of(points=points).objects
    assert item.points.tolist() == [list(point) for point in points]
    assert item.labels.tolist() == [1] * len(points)
    assert item.box is item.mask is item.previous is None


@given(st.lists(point_lists, min_size=1, max_size=4))
@settings(max_examples=50)
def test_a_list_of_lists_of_points_is_one_object_each(lists):
    objects = Prompts.of(points=lists).objects
    assert [item.points.tolist() for item in objects] == [
        [[*p] for p in points] for points in lists
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float16, np.float32, object])
def test_points_are_numbers_of_any_type_and_become_float64(dtype):
    points = np.array([[1, 2], [3, 4]], dtype)
    assert _said(Prompts.of(points=points)) == [([[1, 2], [3, 4]], [1, 1], None)]
    assert len(Prompts.of(points=points[:, None])) == 2
    assert Prompts.of(points=points).objects[0].points.dtype == np.float64


def test_labels_nest_as_the_points_do():
    assert _said(Prompts.of(points=[(1, 2), (3, 4)], labels=[1, 0])) == [
        ([[1, 2], [3, 4]], [1, 0], None)
    ]
    nested = Prompts.of(points=[[(1, 2)], [(3, 4), (5, 6)]], labels=[[1], [0, 1]])
    assert [item.labels.tolist() for item in nested.objects] == [[1], [0, 1]]
    one_list = Prompts.of(points=[[(1, 2), (3, 4)]], labels=[[True, False]])
    assert [item.labels.tolist() for item in one_list.objects] == [[1, 0]]
    arrays = Prompts.of(points=np.zeros((2, 1, 2)), labels=np.array([[0], [1]], np.uint8))
    assert [item.labels.tolist() for item in arrays.objects] == [[0], [1]]


def test_boxes_are_one_object_each_and_a_flat_box_is_one():
    two = Prompts.of(boxes=[(0, 0, 5, 5), (1, 1, 2, 2)])
    assert _said(two) == [([], [], [0, 0, 5, 5]), ([], [], [1, 1, 2, 2])]
    assert _said(Prompts.of(boxes=(0, 0, 5, 5))) == [([], [], [0, 0, 5, 5])]
    assert _said(Prompts.of(boxes=np.array([[0, 0, 5, 5]], np.uint16))) == [([], [], [0, 0, 5, 5])]


def test_a_flat_list_of_points_and_one_box_are_one_object():
    assert _said(Prompts.of(points=[(1, 2), (3, 4)], labels=[1, 0], boxes=[0, 0, 5, 5])) == [
        ([[1, 2], [3, 4]], [1, 0], [0, 0, 5, 5])
    ]


def test_lists_of_points_go_with_as_many_boxes_and_may_be_empty():
    prompts = Prompts.of(points=[[], [(1, 2)]], boxes=[(0, 0, 5, 5), (1, 1, 2, 2)])
    assert _said(prompts) == [([], [], [0, 0, 5, 5]), ([[1, 2]], [1], [1, 1, 2, 2])]
    assert _said(Prompts.of(points=[[]], labels=[[]])) == [([], [], None)]


def test_a_mask_and_previous_logits_are_one_an_object():
    mask = np.eye(3, dtype=bool)
    assert Prompts.of(mask=mask).objects[0].mask.tolist() == mask.tolist()
    assert len(Prompts.of(mask=np.stack([mask, mask]))) == 2
    logits = np.linspace(-5, 5, 16).reshape(4, 4)
    (item,) = Prompts.of(points=[(1, 2)], previous=logits).objects
    assert item.previous.dtype == np.float32
    np.testing.assert_allclose(item.previous, logits, rtol=1e-6)
    assert len(Prompts.of(previous=logits[None])) == 1


@pytest.mark.parametrize("on", [True, 1, 255, 1.0])
def test_a_mask_may_be_written_with_0_and_1_or_255(on):
    (item,) = Prompts.of(mask=[[0, on], [on, 0]]).objects
    assert item.mask.dtype == np.bool_
    assert item.mask.tolist() == [[False, True], [True, False]]


def test_nothing_said_is_no_object():
    assert len(Prompts.of()) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": [(1, 2)], "boxes": [(0, 0, 5, 5)] * 2}, "points for 1, boxes for 2"),
        ({"points": [[(1, 2)], [(3, 4)]], "boxes": [0, 0, 5, 5]}, "points for 2, boxes for 1"),
        ({"boxes": [(0, 0, 5, 5)] * 3, "mask": np.zeros((2, 4, 4))}, "boxes for 3, mask for 2"),
        ({"points": [(1, 2)], "previous": np.zeros((3, 4, 4))}, "points for 1, previous for 3"),
    ],
)
def test_counts_that_differ_are_named_and_the_grammar_is_recalled(given, message):
    with pytest.raises(
        PromptError, match=f"different numbers of objects .{message}.: a flat list of"
    ):
        Prompts.of(**given)


@pytest.mark.parametrize(
    "points",
    [
        5,
        np.float64(5),
        (520, 375),
        [],
        np.zeros((0, 2)),
        "ab",
        [(1, 2, 3)],
        [(1, 2), (3,)],
        [[(1, 2)], 5],
        [[(1, 2)], [(1, 2, 3)]],
        np.zeros((2, 3)),
        np.zeros((1, 1, 1, 2)),
        [("left", "top")],
        [(10**400, 1)],
        [(1, 2j)],
        [{"x": 1, "y": 2}],
    ],
    ids=repr,
)
def test_points_that_are_no_list_of_points_are_refused_with_an_example(points):
    with pytest.raises(
        PromptError, match=r"expected a list of points, for example \[\(520, 375\)\]"
    ):
        Prompts.of(points=points)


@pytest.mark.parametrize("points", [[(NAN, 2)], [(1, INF)], [[(1, 2)], [(-INF, 2)]], [(1, None)]])
def test_points_that_are_not_finite_are_refused(points):
    with pytest.raises(PromptError, match="not all finite"):
        Prompts.of(points=points)


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        ([(1, 2)], 1, r"expected \[1\] labels"),
        ([(1, 2)], np.array(1), r"expected \[1\] labels"),
        ([(1, 2)], [], r"expected \[1\] labels"),
        ([(1, 2)], "1", r"expected \[1\] labels"),
        ([(1, 2)], [1, 0], r"expected \[1\] labels"),
        ([(1, 2), (3, 4)], [[1], [0]], r"expected \[2\] labels"),
        ([(1, 2), (3, 4)], [[1, [0]]], r"expected \[2\] labels"),
        ([[(1, 2)], [(3, 4)]], [1, 0], r"expected \[1, 1\] labels"),
        ([[(1, 2)], [(3, 4), (5, 6)]], [[1], [1]], r"expected \[1, 2\] labels"),
        ([[(1, 2)], [(3, 4)]], [[1]], r"expected \[1, 1\] labels"),
        ([(1, 2)], [0.5], "expected whole numbers, 0 or 1"),
        ([(1, 2)], [1.0], "expected whole numbers, 0 or 1"),
        ([(1, 2)], ["1"], "expected whole numbers, 0 or 1"),
        ([(1, 2)], [None], "expected whole numbers, 0 or 1"),
        ([(1, 2)], [2**70], "expected whole numbers, 0 or 1"),
        ([(1, 2)], [-1], r"labels \[-1\]: expected 1 for the object and 0 for background"),
        ([(1, 2)], [2], "expected 1 for the object"),
        ([(1, 2)], [2**40], "expected 1 for the object"),
        ([(1, 2)], np.array([2**32 + 1]), "expected 1 for the object"),
        (None, [1], "labels without points"),
    ],
)
def test_labels_that_do_not_fit_are_refused(points, labels, message):
    with pytest.raises(PromptError, match=message):
        Prompts.of(points=points, labels=labels)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "expected four numbers"),
        (np.zeros((0, 4)), "boxes has shape"),
        (5, "boxes has shape"),
        ([[(0, 0, 5, 5)]], "boxes has shape"),
        ([(0, 0, 5)], "expected four numbers x0, y0, x1, y1"),
        ([(0, 0, 5, 5), (0, 0, 5)], "boxes is ragged"),
        ([("0", "0", "5", "5")], "expected four numbers"),
        ([(0, 0, None, 5)], "expected four numbers"),
        ([(0, 0, NAN, 5)], "expected four numbers"),
        ([(0, 0, INF, 5)], "expected four numbers"),
        ([(5, 0, 0, 5)], r"box \(5, 0, 0, 5\) is empty: expected x0 < x1 .* width, height\?"),
        ([(0, 5, 5, 0)], "is empty: expected x0 < x1 and y0 < y1"),
        ([(3, 3, 3, 5)], "is empty"),
    ],
)
def test_boxes_that_are_none_are_refused(boxes, message):
    with pytest.raises(PromptError, match=message):
        Prompts.of(boxes=boxes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask": np.zeros(4)}, "mask has shape"),
        ({"mask": np.zeros((1, 1, 4, 4))}, "mask has shape"),
        ({"mask": [[0, 1], [1]]}, "mask is ragged"),
        ({"mask": [[0.5, -3.0]]}, r"values from -3.0 to 0.5: .*logits go into previous="),
        ({"mask": [[NAN, 0]]}, "expected a binary mask"),
        ({"previous": np.zeros((4, 4), bool)}, "a binary mask goes into mask="),
        ({"previous": np.full((4, 4), NAN)}, "finite logits"),
        ({"previous": np.zeros(4)}, "previous has shape"),
        ({"mask": np.ones((4, 4)), "previous": np.zeros((4, 4))}, "not both: leave one out"),
    ],
)
def test_masks_and_logits_that_cannot_be_used_are_refused(given, message):
    with pytest.raises(PromptError, match=message):
        Prompts.of(**given)


def test_an_object_checks_itself():
    with pytest.raises(ShapeError, match=r"points has shape \(2,\): expected \(N, 2\)"):
        ObjectPrompt(points=np.zeros(2), labels=np.ones(2))
    with pytest.raises(PromptError, match="2 labels for 1 points"):
        ObjectPrompt(points=np.zeros((1, 2)), labels=np.ones(2))
    with pytest.raises(ShapeError, match=r"labels has shape \(1, 1\)"):
        ObjectPrompt(points=np.zeros((1, 2)), labels=np.ones((1, 1)))
    with pytest.raises(PromptError, match=r"labels \[0.5\]"):
        ObjectPrompt(points=np.zeros((1, 2)), labels=np.array([0.5]))
    with pytest.raises(ShapeError, match=r"previous has shape \(2, 3\): expected \(S, S\)"):
        ObjectPrompt(points=np.zeros((1, 2)), labels=np.ones(1), previous=np.zeros((2, 3)))


def test_an_object_does_not_follow_the_arrays_it_was_made_of():
    points, box = np.array([[1.0, 2.0]]), np.array([0.0, 0, 5, 5])
    (item,) = Prompts.of(points=points, boxes=box).objects
    points[:], box[:] = 9, 9
    assert item.points.tolist() == [[1, 2]]
    assert item.box.tolist() == [0, 0, 5, 5]
    assert not item.points.flags.writeable
    assert not item.labels.flags.writeable
    assert not item.box.flags.writeable


def test_only_one_point_and_nothing_else_is_a_single_point():
    box, mask = [0, 0, 5, 5], np.ones((3, 3))
    single = [
        Prompts.of(points=[(1, 2)]),
        Prompts.of(points=[(1, 2)], labels=[0]),
    ]
    more = [
        Prompts.of(points=[(1, 2), (3, 4)]),
        Prompts.of(points=[(1, 2)], boxes=box),
        Prompts.of(points=[(1, 2)], mask=mask),
        Prompts.of(points=[(1, 2)], previous=np.zeros((3, 3))),
        Prompts.of(boxes=box),
        Prompts.of(points=[[]]),
    ]
    assert all(prompts.objects[0].is_single_point for prompts in single)
    assert not any(prompts.objects[0].is_single_point for prompts in more)


def test_only_an_object_of_which_nothing_is_said_is_empty():
    assert Prompts.of(points=[[]]).objects[0].is_empty
    assert not Prompts.of(points=[(1, 2)]).objects[0].is_empty
    assert not Prompts.of(boxes=[0, 0, 5, 5]).objects[0].is_empty
    assert not Prompts.of(mask=np.ones((3, 3))).objects[0].is_empty


def test_groups_hold_objects_alike_in_order_of_first_appearance():
    one, two = [(1, 2)], [(1, 2), (3, 4)]
    assert Prompts.of(points=[one, two, one, two, one]).groups() == ((0, 2, 4), (1, 3))
    assert Prompts.of().groups() == ()


def test_groups_tell_boxes_and_masks_apart_but_not_mask_from_previous():
    point, box, square = Prompts.of(points=[(1, 2)]), (0, 0, 5, 5), np.ones((3, 3))
    kinds = [
        point,
        Prompts.of(points=[(1, 2)], boxes=box),
        Prompts.of(points=[(1, 2)], mask=square),
        Prompts.of(points=[(1, 2)], boxes=box, mask=square),
        Prompts.of(points=[(1, 2)], previous=square),
        point,
    ]
    mixed = Prompts(tuple(item for prompts in kinds for item in prompts.objects))
    assert mixed.groups() == ((0, 5), (1,), (2, 4), (3,))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3), max_size=8))
def test_each_object_is_in_one_group_of_its_number_of_points(lengths):
    prompts = Prompts(
        tuple(ObjectPrompt(points=np.zeros((n, 2)), labels=np.ones(n)) for n in lengths)
    )
    groups = prompts.groups()
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len({lengths[index] for index in group}) == 1
        assert list(group) == sorted(group)
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)


SIZE = Size(height=800, width=1200)


def test_a_point_outside_is_refused_in_the_words_of_the_design():
    message = (
        "point (10, 5000) lies outside photo.jpg: expected 0 <= x < 1200 and 0 <= y < 800 "
        "(points are x,y in pixels; were they swapped?)"
    )
    with pytest.raises(PromptError, match=f"^{re.escape(message)}$"):
        Prompts.of(points=[(1, 1), (10, 5000)]).check_inside(SIZE, "photo.jpg")


@pytest.mark.parametrize("point", [(0, 0), (1199, 799), (1199.99, 799.99)])
def test_a_point_on_the_picture_is_accepted(point):
    Prompts.of(points=[point]).check_inside(SIZE, "photo.jpg")


@pytest.mark.parametrize("point", [(-0.01, 5), (5, -0.01), (1200, 5), (5, 800)])
def test_a_point_beyond_an_edge_is_refused(point):
    with pytest.raises(PromptError, match=r"lies outside photo\.jpg"):
        Prompts.of(points=[[(1, 1)], [point]]).check_inside(SIZE, "photo.jpg")


def test_a_box_of_the_whole_picture_is_accepted():
    Prompts.of(boxes=[(0, 0, 1200, 800)]).check_inside(SIZE, "photo.jpg")


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, -1, 5, 5), (0, 0, 1201, 5), (0, 0, 5, 801)])
def test_a_box_that_reaches_outside_is_refused(box):
    message = "reaches outside photo.jpg: expected 0 <= x0 < x1 <= 1200 and 0 <= y0 < y1 <= 800"
    with pytest.raises(PromptError, match=re.escape(message)):
        Prompts.of(boxes=[(0, 0, 5, 5), box]).check_inside(SIZE, "photo.jpg")


def test_a_mask_of_another_size_is_refused():
    Prompts.of(mask=np.ones((800, 1200))).check_inside(SIZE, "photo.jpg")
    with pytest.raises(PromptError, match=r"mask prompt is 800x1200, photo\.jpg is 1200x800"):
        Prompts.of(mask=np.ones((1200, 800))).check_inside(SIZE, "photo.jpg")


def _input(count=2, length=3, **changes) -> InputPrompts:
    parts = {
        "points": np.arange(count * length * 2.0).reshape(count, length, 2),
        "labels": np.ones((count, length), int),
        "boxes": np.ones((count, 4)),
        "masks": np.zeros((count, 1, 8, 8)),
    }
    return InputPrompts(**(parts | changes))


def test_input_prompts_are_read_only_arrays_of_the_models_types():
    prompts = _input()
    assert len(prompts) == 2
    for name, dtype in {"points": "f4", "labels": "i4", "boxes": "f4", "masks": "f4"}.items():
        assert getattr(prompts, name).dtype == dtype
        assert not getattr(prompts, name).flags.writeable


def test_input_prompts_may_be_points_alone_or_nothing_at_all():
    assert _input(boxes=None, masks=None).boxes is None
    assert len(_input(count=1, length=0, boxes=None, masks=None)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": np.zeros((3, 2))}, r"points has shape \(3, 2\): expected \(B, N, 2\)"),
        ({"labels": np.ones((2, 4))}, r"labels has shape \(2, 4\): expected \(2, 3\)"),
        ({"labels": np.ones(2)}, r"labels has shape \(2,\): expected \(2, 3\)"),
        ({"boxes": np.ones((3, 4))}, r"boxes has shape \(3, 4\): expected \(2, 4\)"),
        ({"masks": np.ones((2, 8, 8))}, r"masks has shape \(2, 8, 8\): expected \(2, 1, S, S\)"),
        ({"masks": np.ones((2, 1, 8, 9))}, r"expected \(2, 1, S, S\)"),
    ],
)
def test_input_prompts_of_different_counts_are_refused(changes, message):
    with pytest.raises(ShapeError, match=message):
        _input(**changes)


def test_input_prompts_are_equal_where_all_arrays_are():
    assert _input().equal(_input())
    assert not _input().equal(_input(boxes=None))
    assert not _input(boxes=None).equal(_input())
    assert not _input().equal(_input(labels=np.zeros((2, 3))))
    assert not _input().equal(_input(points=np.zeros((2, 3, 2))))
    assert not _input().equal(_input(masks=np.ones((2, 1, 8, 8))))
