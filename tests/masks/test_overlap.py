"""Overlap on run lengths against dense arrays and pycocotools; who stays of rivals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from samphire.masks import Masks
from samphire.masks.overlap import (
    box_iou,
    box_nms,
    containment,
    intersection_area,
    iou,
    mask_nms,
)

HEIGHT, WIDTH = 7, 9


def dense(count):
    return arrays(np.bool_, st.tuples(count, st.just(HEIGHT), st.just(WIDTH)))


def blobs(rng, count, side=60):
    """Rectangles with holes, some of them nearly the same."""
    made = np.zeros((count, side, side), np.bool_)
    for mask in made:
        x, y = rng.integers(0, side - 10, 2)
        width, height = rng.integers(5, 40, 2)
        mask[y : y + height, x : x + width] = True
        mask[y + 2 : y + 4, x + 2 : x + 4] = False
    return made


@given(left=dense(st.integers(0, 4)), right=dense(st.integers(0, 4)))
def test_intersection_is_the_dense_one(left, right):
    left = left.reshape(-1, HEIGHT, WIDTH)
    right = right.reshape(-1, HEIGHT, WIDTH)
    expected = (left[:, None] & right[None]).sum(axis=(2, 3))
    found = intersection_area(Masks.from_arrays(left), Masks.from_arrays(right))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


@given(left=dense(st.integers(1, 4)), right=dense(st.integers(1, 4)))
def test_iou_is_pycocotools(left, right):
    def encoded(masks):
        return [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]

    empty = ~(left.any(axis=(1, 2))[:, None] | right.any(axis=(1, 2))[None])
    expected = coco.iou(encoded(left), encoded(right), [False] * len(right))
    found = iou(Masks.from_arrays(left), Masks.from_arrays(right))
    np.testing.assert_allclose(found, np.where(empty, 0, expected), atol=1e-12)
    crowd = coco.iou(encoded(left), encoded(right), [True] * len(right))
    nothing = ~left.any(axis=(1, 2))[:, None] | np.zeros_like(empty)
    found = containment(Masks.from_arrays(left), Masks.from_arrays(right))
    np.testing.assert_allclose(found, np.where(nothing, 0, crowd), atol=1e-12)


def test_masks_on_images_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="masks on 9x7 and on 7x9"):
        iou(Masks.from_arrays(np.ones((1, 7, 9))), Masks.from_arrays(np.ones((1, 9, 7))))


@given(
    boxes=arrays(np.int32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(0, 8)),
)
def test_the_iou_of_boxes_is_that_of_the_masks_they_fill(boxes):
    boxes = np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    filled = np.zeros((len(boxes), 9, 9), np.bool_)
    for mask, (x0, y0, x1, y1) in zip(filled, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    masks = Masks.from_arrays(filled)
    np.testing.assert_allclose(box_iou(boxes, boxes), iou(masks, masks), atol=1e-12)


def test_thin_and_empty_boxes_have_an_iou_that_is_a_number():
    line, nothing = np.array([[2, 3, 2, 9]]), np.zeros((1, 4))
    assert box_iou(line, line).tolist() == [[0.0]]
    assert box_iou(nothing, nothing).tolist() == [[0.0]]
    column = np.array([[2, 3, 3, 9]])
    assert box_iou(column, column).tolist() == [[1.0]]


def stays_by_definition(overlap, order, threshold):
    kept: list[int] = []
    for index in order:
        if all(overlap[index, better] <= threshold for better in kept):
            kept.append(int(index))
    return kept


@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.7])
def test_suppression_is_greedy_and_idempotent(threshold):
    rng = np.random.default_rng(3)
    masks = Masks.from_arrays(blobs(rng, 40))
    order = rng.permutation(40)
    for found, overlap in (
        (box_nms(masks.boxes, order, threshold), box_iou(masks.boxes, masks.boxes)),
        (mask_nms(masks, order, threshold), iou(masks, masks)),
    ):
        assert found.tolist() == stays_by_definition(overlap, order, threshold)
        assert 1 < len(found) < 40
    again = mask_nms(masks[found], np.arange(len(found)), threshold)
    assert again.tolist() == list(range(len(found)))


def test_a_ring_and_its_disc_lose_one_by_boxes_and_none_by_masks():
    y, x = np.mgrid[:41, :41] - 20
    distance = np.hypot(x, y)
    masks = Masks.from_arrays([distance < 20, (distance < 20) & (distance > 15)])
    order = np.arange(2)
    assert box_nms(masks.boxes, order, 0.7).tolist() == [0]
    assert mask_nms(masks, order, 0.7).tolist() == [0, 1]


def test_containment_drops_the_part_of_a_better_whole_and_the_whole_of_a_better_part():
    whole, part = np.zeros((2, 20, 20), np.bool_)
    whole[2:18, 2:18] = True
    part[4:8, 4:8] = True
    masks = Masks.from_arrays([whole, part])
    assert mask_nms(masks, np.array([0, 1]), 0.7).tolist() == [0, 1]
    assert mask_nms(masks, np.array([0, 1]), 0.7, max_containment=0.9).tolist() == [0]
    assert mask_nms(masks, np.array([1, 0]), 0.7, max_containment=0.9).tolist() == [1]


def test_empty_masks_suppress_nothing():
    masks = Masks.from_arrays(np.zeros((3, 4, 5)))
    assert mask_nms(masks, np.arange(3), 0.5, max_containment=0.5).tolist() == [0, 1, 2]
    assert mask_nms(masks[:0], np.arange(0), 0.5).tolist() == []
