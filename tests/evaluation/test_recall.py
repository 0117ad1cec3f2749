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
from samphire.evaluation.recall import IOU_THRESHOLDS, average_recall, recall
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
        results = data.loadRes(found) if found else COCO()  # loadRes wants one at least
        evaluation = COCOeval(data, results, "segm")
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
    """Rectangles as truth, some of them twice; proposals that are moved, joined, cut or others."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    side = draw(st.sampled_from([12, 40, 130]))

    def box():
        mask = np.zeros((side, side), np.bool_)
        (x, y), (width, height) = rng.integers(0, side, 2), rng.integers(0, side, 2)
        mask[y : y + height, x : x + width] = True
        return mask

    def proposal():
        chosen = rng.integers(0, len(truth), 2) if truth and rng.random() < 0.8 else ()
        if not len(chosen):
            return box()
        moved = np.roll(truth[chosen[0]], rng.integers(-1, 2, 2), (0, 1))
        other = truth[chosen[1]]
        return (moved, moved, moved | other, moved & other)[rng.integers(4)]

    truth = [box() for _ in range(draw(st.integers(0, 5)))]
    truth += truth[:1] if draw(st.booleans()) else []
    proposals = [proposal() for _ in range(draw(st.integers(0, 8)))]
    empty = np.zeros((0, side, side), np.bool_)
    return (
        scored(np.array(proposals or empty), rng.choice([0.5, 0.7, 0.9], len(proposals))),
        Masks.from_arrays(np.array(truth or empty)),
        rng.random(len(truth)) < 0.25,
    )


@pytest.mark.slow
@settings(max_examples=20)
@given(images=st.lists(image(), min_size=1, max_size=3), most=st.sampled_from([1000, 3]))
def test_ar_is_pycocotools(images, most):
    expected = by_pycocotools(images, most)
    np.testing.assert_allclose(ours(images, most), expected, atol=1e-9)


def strips(*spans):
    """Masks of one row of 20 pixels, on from the one to before the other."""
    columns = np.arange(20)
    return np.array([[(first <= columns) & (columns < end)] for first, end in spans])


def test_an_iou_of_just_the_threshold_is_enough():
    truth, half = Masks.from_arrays(strips((0, 20))), scored(strips((0, 10)), [0.5])
    assert recall(half, truth).found[0].tolist() == [1] + [0] * 9
    images = [(half, truth, [False])]
    assert ours(images)[0] == pytest.approx(by_pycocotools(images)[0], abs=1e-9)


def test_of_objects_that_fit_equally_the_last_is_taken():
    # the first proposal has 9 of 11 pixels of either object, the second fits the later one only
    proposals = scored(strips((1, 11), (4, 14)), [0.9, 0.8])
    for spans, expected in (((0, 10), (2, 12)), 1), (((2, 12), (0, 10)), 2):
        truth = Masks.from_arrays(strips(*spans))
        assert recall(proposals, truth).found[0, 0] == expected
        images = [(proposals, truth, [False, False])]
        assert ours(images)[0] == pytest.approx(by_pycocotools(images)[0], abs=1e-9)


def test_a_proposal_takes_the_object_that_it_fits_best():
    proposals = scored(strips((1, 11), (5, 15)), [0.9, 0.8])  # the second fits one of them only
    for spans in ((0, 10), (3, 13)), ((3, 13), (0, 10)):
        truth = Masks.from_arrays(strips(*spans))
        assert recall(proposals, truth).found[0, 0] == 2


@pytest.mark.parametrize(
    ("scores", "expected"), [((0.9, 0.5), 1), ((0.5, 0.9), 2), ((0.5, 0.5), 1)]
)
def test_the_surest_proposal_is_asked_first_and_of_equal_ones_the_first(scores, expected):
    # asked first, the one that fits either object takes the later, which the other one needs
    truth = Masks.from_arrays(strips((0, 10), (2, 12)))
    others = 300  # of so many equal scores a sort that is not stable moves some
    proposals = scored(
        strips((1, 11), *[(15, 16)] * others, (4, 14)),
        [scores[0], *np.tile([0.5, 0.9], others // 2), scores[1]],
    )
    assert recall(proposals, truth).found[0, 0] == expected
    images = [(proposals, truth, [False, False])]
    assert ours(images)[0] == pytest.approx(by_pycocotools(images)[0], abs=1e-9)


def test_the_thousandth_proposal_counts_and_the_next_does_not():
    truth = Masks.from_arrays(strips((0, 10)))
    for others, expected in (999, 1.0), (1000, 0.0):
        scores = np.linspace(1, 0.5, others + 1)
        proposals = scored(strips(*[(15, 16)] * others, (0, 10)), scores)
        images = [(proposals, truth, [False])]
        found = average_recall([recall(proposals, truth)])  # the number that it has by itself
        assert found.all == expected == by_pycocotools(images)[0]


@pytest.mark.parametrize(("side", "sizes"), [(32, ["small", "medium"]), (96, ["medium", "large"])])
def test_an_object_on_the_border_of_two_sizes_counts_in_both(side, sizes):
    dense = np.zeros((1, 100, 100), np.bool_)
    dense[0, :side, :side] = True
    truth = Masks.from_arrays(dense)
    found = average_recall([recall(scored(dense, [0.5]), truth)])
    assert [each for each in ("small", "medium", "large") if getattr(found, each) == 1] == sizes
    images = [(scored(dense, [0.5]), truth, [False])]
    np.testing.assert_allclose(ours(images), by_pycocotools(images), atol=1e-9)


def test_a_crowd_is_not_missed_and_takes_no_proposal_from_an_object():
    truth = Masks.from_arrays(strips((0, 10), (0, 20)))
    found = recall(scored(strips((0, 12)), [0.5]), truth, np.array([False, True]))
    assert found.truths[0] == 1
    assert found.found[0, 0] == 1
    alone = average_recall([recall(scored(strips((0, 12)), [0.5]), truth[1:], np.array([True]))])
    assert math.isnan(alone.all)
    assert alone.truths == 0


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
    crowded = {each["image_id"] for each in document["annotations"] if each["iscrowd"]}
    records = [record for record in document["images"] if record["id"] in crowded]
    for record in [*records[:1], *document["images"][:4]]:
        size = Size(record["height"], record["width"])
        objects = [each for each in document["annotations"] if each["image_id"] == record["id"]]
        truth = Masks.from_image_runs(
            size, (from_coco(each["segmentation"]["counts"]) for each in objects)
        )
        dense = truth.to_array()
        moved = [np.roll(mask, rng.integers(-9, 10, 2), (0, 1)) for mask in dense]
        joined = [*moved, *(dense[:-1] | dense[1:])]
        images.append(
            (
                scored(joined, rng.random(len(joined)).astype(np.float32)),
                truth,
                np.array([bool(each["iscrowd"]) for each in objects]),
            )
        )
    assert any(crowd.any() for _, _, crowd in images)
    expected = by_pycocotools(images)
    assert 0.1 < expected[0] < 0.9
    np.testing.assert_allclose(ours(images), expected, atol=1e-9)
