"""AR@1000 against pycocotools on made-up and on real objects."""

import contextlib
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from samphire.errors import ShapeError
from samphire.evaluation.metrics import IOU_THRESHOLDS, average_recall, recall
from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.rle import from_coco


def scored(dense, scores):
    masks = Masks.from_arrays(np.asarray(dense, np.bool_).reshape(-1, *np.shape(dense)[-2:]))
    return replace(masks, predicted_iou=np.asarray(scores, np.float64))


def run_length(mask):
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


def by_pycocotools(images, max_proposals=1000):
    """AR for all, small, medium, large of (proposals, truth, crowd) triples."""
    truths, found = [], []
    for index, (proposals, truth, crowd) in enumerate(images):
        for mask, group in zip(truth.to_array(), crowd, strict=True):
            truths.append(
                {
                    "id": len(truths) + 1,
                    "image_id": index,
                    "category_id": 1,
                    "iscrowd": int(group),
                    "area": int(mask.sum()),
                    "segmentation": run_length(mask),
                }
            )
        for mask, score in zip(proposals.to_array(), proposals.predicted_iou, strict=True):
            found.append(
                {
                    "image_id": index,
                    "category_id": 1,
                    "score": float(score),
                    "segmentation": run_length(mask),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = {
            "info": {},
            "images": [
                {"id": index, "height": truth.size.height, "width": truth.size.width}
                for index, (_, truth, _) in enumerate(images)
            ],
            "annotations": truths,
            "categories": [{"id": 1}],
        }
        data.createIndex()
        evaluation = COCOeval(data, data.loadRes(found), "segm")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [1, 2, max_proposals]  # it sorts them
        evaluation.evaluate()
        evaluation.accumulate()
    recalls = evaluation.eval["recall"]  # (T, K, A, M)
    return [
        float("nan") if (recalls[:, 0, area, -1] < 0).any() else recalls[:, 0, area, -1].mean()
        for area in range(4)
    ]


def ours(images, max_proposals=1000):
    found = average_recall(
        [
            recall(proposals, truth, np.asarray(crowd), max_proposals=max_proposals)
            for proposals, truth, crowd in images
        ]
    )
    return [found.all, found.small, found.medium, found.large]


@st.composite
def image(draw):
    """Rectangles as truth; proposals that are moved copies of them and others."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    side, count = 130, draw(st.integers(0, 5))

    def box(x, y, width, height):
        mask = np.zeros((side, side), np.bool_)
        mask[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
        return mask

    places = [
        (*rng.integers(0, 60, 2), *rng.integers(3, [40, 125][k % 2], 2)) for k in range(count)
    ]
    truth = [box(*place) for place in places]
    proposals = [
        box(x + dx, y + dy, w + dw, h)
        for x, y, w, h in places
        for dx, dy, dw in rng.integers(-3, 4, (3, 3))
    ]
    proposals += [box(*rng.integers(2, 60, 4)) for _ in range(2)]
    scores = rng.choice([0.5, 0.6, 0.7, 0.8], len(proposals))
    empty = np.zeros((0, side, side), np.bool_)
    return (
        scored(np.array(proposals), scores),
        Masks.from_arrays(np.array(truth) if truth else empty),
        rng.random(count) < 0.25,
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(images=st.lists(image(), min_size=1, max_size=3), most=st.sampled_from([1000, 3]))
def test_ar_is_pycocotools(images, most):
    expected = by_pycocotools(images, most)
    np.testing.assert_allclose(ours(images, most), expected, atol=1e-9)


def test_a_perfect_set_has_all_and_none_has_nothing():
    dense = np.zeros((2, 50, 50), np.bool_)
    dense[0, 2:10, 2:10] = dense[1, 5:45, 5:45] = True
    truth = Masks.from_arrays(dense)
    perfect = average_recall([recall(scored(dense, [0.1, 0.2]), truth)])
    assert (perfect.all, perfect.small, perfect.medium) == (1.0, 1.0, 1.0)
    assert math.isnan(perfect.large)
    assert perfect.truths == 2
    assert average_recall([recall(truth[:0], truth)]).all == 0.0
    assert math.isnan(average_recall([recall(truth, truth[:0])]).all)


def test_an_object_is_found_once_however_often_it_is_proposed():
    dense = np.zeros((2, 30, 30), np.bool_)
    dense[:, 2:20, 2:20] = True
    dense[1, 2:20, 20:22] = True  # nearly the same
    truth = Masks.from_arrays(np.concatenate([dense[:1], dense[:1]]))
    found = recall(scored(dense, [0.9, 0.8]), truth)
    assert found.found[0].tolist() == [2 if limit <= 18 / 20 else 1 for limit in IOU_THRESHOLDS]
    assert recall(scored(dense[:1], [0.9]), truth).found[0].tolist() == [1] * 10


def test_crowd_is_one_flag_an_object():
    truth = Masks.from_arrays(np.ones((2, 4, 4)))
    with pytest.raises(ShapeError, match="crowd has shape"):
        recall(truth, truth, np.array([True]))


def test_real_objects_and_shaken_ones_give_what_pycocotools_gives(data):
    document = json.loads((data / "objects" / "instances.json").read_text())
    rng = np.random.default_rng(0)
    images = []
    for record in document["images"][:6]:
        size = Size(record["height"], record["width"])
        objects = [each for each in document["annotations"] if each["image_id"] == record["id"]]
        truth = Masks.from_image_runs(
            size, (from_coco(each["segmentation"]["counts"]) for each in objects)
        )
        dense = truth.to_array()
        moved = [np.roll(mask, rng.integers(-9, 10, 2), (0, 1)) for mask in dense for _ in range(3)]
        joined = [dense[:2].any(axis=0), *moved]
        images.append(
            (
                scored(joined, rng.random(len(joined)).astype(np.float32)),
                truth,
                np.array([bool(each["iscrowd"]) for each in objects]),
            )
        )
    expected = by_pycocotools(images)
    assert 0.1 < expected[0] < 0.9
    np.testing.assert_allclose(ours(images), expected, atol=1e-9)
