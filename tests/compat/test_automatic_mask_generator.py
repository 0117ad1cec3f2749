"""``SamAutomaticMaskGenerator`` on the tiny model: records, modes, refusals, and no state."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco

from samphire.compat import SamAutomaticMaskGenerator, SamPredictor
from samphire.compat.segment_anything.automatic_mask_generator import (
    _nms,
    _without_small_regions,
)
from samphire.errors import NonFiniteError
from samphire.masks import Masks
from samphire.masks.overlap import box_nms
from samphire.predict.everything import segment_everything
from samphire.predict.everything_settings import EverythingSettings

pytestmark = pytest.mark.slow

KEYS = [
    "segmentation",
    "area",
    "bbox",
    "predicted_iou",
    "point_coords",
    "stability_score",
    "crop_box",
]
ANY = {"points_per_side": 4, "pred_iou_thresh": 0, "stability_score_thresh": 0}
RAW = ANY | {"box_nms_thresh": 1.0}


@pytest.fixture
def records(sam, photo):
    return SamAutomaticMaskGenerator(sam, **RAW).generate(photo)


def test_records_have_the_published_keys_and_types(records):
    assert len(records) > 5
    for record in records:
        assert list(record) == KEYS
        mask = record["segmentation"]
        assert (mask.shape, mask.dtype) == ((75, 100), np.bool_)
        assert record["area"] == mask.sum() > 0
        y, x = np.nonzero(mask)
        assert record["bbox"] == [x.min(), y.min(), np.ptp(x), np.ptp(y)]
        assert record["crop_box"] == [0, 0, 100, 75]
        ((px, py),) = record["point_coords"]
        assert (px % 25, py % 18.75) == (12.5, 9.375)
        json.dumps({key: value for key, value in record.items() if key != "segmentation"})


def test_a_record_is_what_a_click_on_its_point_gives(sam, photo, records):
    predictor = SamPredictor(sam)
    predictor.set_image(photo)
    for record in records[:5]:
        masks, scores, _ = predictor.predict(
            point_coords=np.array(record["point_coords"]), point_labels=np.array([1])
        )
        best = np.abs(scores - record["predicted_iou"]).argmin()
        assert scores[best] == pytest.approx(record["predicted_iou"], abs=1e-5)
        assert (masks[best] != record["segmentation"]).sum() <= 2


def test_scores_fall_and_bounds_hold(sam, photo):
    least = 0.02
    found = SamAutomaticMaskGenerator(sam, **(ANY | {"pred_iou_thresh": least})).generate(photo)
    scores = [record["predicted_iou"] for record in found]
    assert scores == sorted(scores, reverse=True)
    assert all(score > least for score in scores)


@pytest.mark.parametrize("mode", ["uncompressed_rle", "coco_rle"])
def test_the_other_modes_tell_of_the_same_masks(sam, photo, records, mode):
    found = SamAutomaticMaskGenerator(sam, output_mode=mode, **RAW).generate(photo)
    for record, dense in zip(found, records, strict=True):
        segmentation = record["segmentation"]
        assert segmentation["size"] == [75, 100]
        if mode == "uncompressed_rle":
            segmentation = coco.frPyObjects(segmentation, 75, 100)
        np.testing.assert_array_equal(coco.decode(segmentation), dense["segmentation"])
    json.dumps(found)


def test_crops_say_where_they_are_in_whole_numbers(sam, photo):
    generator = SamAutomaticMaskGenerator(sam, crop_n_layers=1, **(RAW | {"crop_nms_thresh": 1.0}))
    large = np.tile(photo, (4, 4, 1))
    crops = {tuple(record["crop_box"]) for record in generator.generate(large)}
    assert len(crops) > 1
    assert all(type(edge) is int for crop in crops for edge in crop)


@pytest.mark.parametrize("layers", [0, 1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", ["binary_mask", "coco_rle"])
def test_nothing_found_is_an_empty_list(sam, photo, layers, mode):
    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=2,
        pred_iou_thresh=9,
        crop_n_layers=layers,
        min_mask_region_area=9,
        output_mode=mode,
    )
    assert generator.generate(photo) == []
    assert generator.generate(photo[:1, :1]) == []


def test_grids_of_points_are_taken_as_they_are(sam, photo):
    grid = np.array([[0.5, 0.5], [0.25, 0.75]])
    generator = SamAutomaticMaskGenerator(
        sam, **(RAW | {"points_per_side": None, "point_grids": [grid]})
    )
    points = {tuple(record["point_coords"][0]) for record in generator.generate(photo)}
    assert points <= {(50.0, 37.5), (25.0, 56.25)}
    assert points
    empty = SamAutomaticMaskGenerator(sam, points_per_side=None, point_grids=[np.zeros((0, 2))])
    assert empty.generate(photo) == []


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"points_per_side": None}, AssertionError),
        ({"point_grids": [np.zeros((1, 2))]}, AssertionError),
        ({"output_mode": "polygons"}, AssertionError),
        ({"points_per_side": 0}, ValueError),
        ({"points_per_batch": 0}, ValueError),
        ({"stability_score_offset": -1.0}, ValueError),
        ({"crop_overlap_ratio": 1.0}, ValueError),
        (
            {"points_per_side": None, "point_grids": [np.zeros((1, 2))], "crop_n_layers": 1},
            ValueError,
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_first_picture(sam, wrong, error):
    with pytest.raises(error):
        SamAutomaticMaskGenerator(sam, **wrong)


def test_small_regions_are_cleaned_and_the_record_follows(sam, photo):
    raw = SamAutomaticMaskGenerator(sam, **RAW).generate(photo)
    clean = SamAutomaticMaskGenerator(sam, min_mask_region_area=40, **RAW).generate(photo)
    assert clean
    changed = 0
    for record in clean:
        mask = record["segmentation"]
        assert record["area"] == mask.sum()
        changed += not any(np.array_equal(mask, other["segmentation"]) for other in raw)
    assert changed


def test_pictures_of_any_kind_are_taken_and_none_is_kept(sam, photo):
    generator = SamAutomaticMaskGenerator(sam, **ANY)
    grey = photo[..., 0]
    assert generator.generate(grey)
    assert generator.generate(np.dstack([photo, np.full(grey.shape, 255, np.uint8)]))
    assert generator.predictor.is_image_set is False


def test_threads_share_a_generator(sam, photo):
    generator = SamAutomaticMaskGenerator(sam, **ANY | {"output_mode": "coco_rle"})
    pictures = [photo, photo[::-1].copy()]
    expected = [generator.generate(picture) for picture in pictures]
    found = [[], []]

    def work(index):
        found[index] = [generator.generate(pictures[index]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[answer] * 5 for answer in expected]


def test_a_moved_threshold_is_honoured(sam, photo):
    usual = SamAutomaticMaskGenerator(sam, **RAW).generate(photo)
    sam.mask_threshold = 0.05
    stricter = SamAutomaticMaskGenerator(sam, **RAW).generate(photo)
    assert sum(record["area"] for record in stricter) < sum(record["area"] for record in usual)


def test_it_finds_what_samphire_finds(sam, tiny_engine, photo):
    records = SamAutomaticMaskGenerator(sam, **RAW).generate(photo)
    settings = EverythingSettings(
        points_per_side=4, min_predicted_iou=0, min_stability=0, box_nms_iou=1.0
    )
    ours = segment_everything(tiny_engine, photo, settings)
    theirs = Masks.from_arrays([record["segmentation"] for record in records])
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(ours.area, theirs.area)


def test_equal_lines_all_stay_as_published_and_ours_keeps_one():
    line = np.zeros((3, 20, 20), np.bool_)
    line[:, 4, 2:18] = True
    masks = Masks.from_arrays(line)
    assert _nms(masks, np.zeros(3), 0.7).tolist() == [0, 1, 2]
    assert box_nms(masks.boxes, np.arange(3), 0.7).tolist() == [0]


def test_ties_are_settled_by_the_order_in_memory_as_published():
    squares = np.zeros((2, 20, 20), np.bool_)
    squares[:, 2:12, 2:12] = True
    assert _nms(Masks.from_arrays(squares), np.array([5, 5]), 0.7).tolist() == [0]
    assert _nms(Masks.from_arrays(squares), np.array([5, 4]), 0.7).tolist() == [1]


def test_cleaning_keeps_the_scores_of_before_and_prefers_what_needed_none():
    whole = np.zeros((20, 20), np.bool_)
    whole[2:18, 2:18] = True
    holed = whole.copy()
    holed[5, 5] = False
    masks = replace(Masks.from_arrays([holed, whole]), predicted_iou=np.array([0.99, 0.9]))
    cleaned = _without_small_regions(masks, 5, 0.7)
    assert cleaned.predicted_iou.tolist() == pytest.approx([0.9])
    assert cleaned.edited.tolist() == [False]
    alone = _without_small_regions(masks[0], 5, 0.7)
    assert alone.predicted_iou.tolist() == pytest.approx([0.99])
    assert alone.edited.tolist() == [True]


def test_a_model_that_gives_nan_is_an_error_not_an_empty_mask(sam, photo):
    sam.pixel_std = sam.pixel_std * float("nan")
    with pytest.raises(NonFiniteError):
        SamAutomaticMaskGenerator(sam, **ANY).generate(photo)


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (1, 1)])
def test_thin_pictures_have_records_or_none_with_and_without_crops(sam, shape):
    picture = np.full((*shape, 3), 99, np.uint8)
    for layers in (0, 2):
        generator = SamAutomaticMaskGenerator(sam, crop_n_layers=layers, **ANY)
        for record in generator.generate(picture):
            assert record["segmentation"].shape == shape


def test_the_batch_changes_no_record(sam, photo):
    few, many = (
        SamAutomaticMaskGenerator(sam, points_per_batch=batch, **RAW).generate(photo)
        for batch in (1, 64)
    )
    for mine, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(mine["segmentation"], other["segmentation"])
        assert mine["predicted_iou"] == other["predicted_iou"]
