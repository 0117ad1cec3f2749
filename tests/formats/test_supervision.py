"""supervision's own class: it sees our masks, and we see its."""

import dataclasses
import sys

import numpy as np
import pytest
import supervision
from formats.test_masks_json import any_masks
from hypothesis import given

from samphire.errors import FileFormatError, MissingExtraError
from samphire.formats.supervision import from_supervision, to_supervision
from samphire.geometry import Size
from samphire.masks import Masks

pytestmark = pytest.mark.slow  # the import alone takes a second


@given(masks=any_masks())
def test_pixels_boxes_scores_and_classes_go_there_and_back(masks):
    masks = dataclasses.replace(masks, predicted_iou=np.linspace(0.5, 1, len(masks)))
    detections = to_supervision(masks)
    assert len(detections) == len(masks)
    np.testing.assert_array_equal(detections.xyxy, masks.boxes)
    np.testing.assert_array_equal(np.asarray(detections.mask), masks.to_array())
    back = from_supervision(detections, masks.size)
    np.testing.assert_array_equal(back.to_array(), masks.to_array())
    for column in ("boxes", "predicted_iou", "label", "name"):
        np.testing.assert_array_equal(getattr(back, column), getattr(masks, column))


def test_a_score_stays_where_another_mask_has_none():
    masks = dataclasses.replace(Masks.from_arrays(np.ones((2, 3, 4))), predicted_iou=[0.5, np.nan])
    detections = to_supervision(masks)
    np.testing.assert_array_equal(detections.confidence, masks.predicted_iou)
    assert from_supervision(detections).equal(masks)
    assert to_supervision(masks[1]).confidence is None


def test_its_annotators_draw_them_and_filters_keep_columns_together():
    dense = np.zeros((2, 40, 60), np.bool_)
    dense[0, 5:20, 5:30] = dense[1, 25:38, 30:55] = True
    masks = dataclasses.replace(
        Masks.from_arrays(dense), predicted_iou=np.array([0.9, 0.4]), name=("a", "b")
    )
    detections = to_supervision(masks)
    picture = supervision.MaskAnnotator().annotate(np.zeros((40, 60, 3), np.uint8), detections)
    assert (picture.any(axis=2) == dense.any(axis=0)).all()
    sure = detections[detections.confidence > 0.5]
    assert from_supervision(sure).name == ("a",)
    assert detections.area.tolist() == masks.area.tolist()


def test_detections_without_masks_are_their_boxes():
    boxes = supervision.Detections(xyxy=np.array([[1.2, 2, 5, 6], [50, 0, 90, 9], [9, 9, 9, 9.2]]))
    masks = from_supervision(boxes, Size(20, 60))
    assert masks.boxes.tolist() == [[1, 2, 5, 6], [50, 0, 60, 9], [0, 0, 0, 0]]
    assert masks.area.tolist() == [16, 90, 0]
    with pytest.raises(FileFormatError, match="give the size of the picture"):
        from_supervision(boxes)


def test_dense_masks_of_others_are_read():
    dense = np.eye(5, dtype=bool)[None]
    found = from_supervision(supervision.Detections(xyxy=np.array([[0, 0, 5, 5]]), mask=dense))
    np.testing.assert_array_equal(found.to_array(), dense)
    assert np.isnan(found.predicted_iou).all()


def test_its_absence_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match="pip install 'supervision"):
        to_supervision(Masks.from_arrays(np.ones((1, 2, 2))))
