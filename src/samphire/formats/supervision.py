"""Masks as ``supervision.Detections`` and back, for that library's annotators and trackers.

A value, not a file. Masks go over as its ``CompactMask``, which keeps run lengths, so a thousand
masks of a large photo stay small. Boxes are x0, y0, x1, y1 as ours; ``class_id`` is the label,
``confidence`` the predicted IoU (NaN where a mask has none, None where none has one),
``data["class_name"]`` the names; all other columns stay behind.
"""

from typing import TYPE_CHECKING

import numpy as np

from samphire.errors import FileFormatError, MissingExtraError
from samphire.formats import records
from samphire.geometry import Size
from samphire.masks import Masks, rle

if TYPE_CHECKING:
    from supervision import Detections

NAMES = "class_name"


def to_supervision(masks: Masks) -> "Detections":
    """The masks as detections, in their order.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    try:
        from supervision import CompactMask, Detections  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise MissingExtraError(
            "supervision is not installed: pip install 'supervision>=0.31'"
        ) from error
    boxes = masks.boxes.astype(np.float32)
    run_lengths = [records.segmentation(masks, index) for index in range(len(masks))]
    size = (masks.size.height, masks.size.width)
    known = np.isfinite(masks.predicted_iou).any()
    return Detections(
        xyxy=boxes,
        mask=CompactMask.from_coco_rle(run_lengths, masks.boxes.astype(np.float64), size),
        confidence=masks.predicted_iou.copy() if known else None,
        class_id=masks.label.astype(int),
        data={NAMES: np.array(masks.name, np.str_)},
    )


def from_supervision(detections: "Detections", size: Size | None = None) -> Masks:
    """Masks of detections; those without a mask are filled boxes.

    Args:
        detections: of one picture.
        size: of the picture, needed where there are no masks.

    Raises:
        FileFormatError: there are neither masks nor a size.
    """
    found = detections.mask
    if found is None and size is None:
        raise FileFormatError("the detections have no masks: give the size of the picture")
    count = len(detections)
    if found is None:
        assert size is not None  # noqa: S101 - checked above
        corners = np.rint(detections.xyxy).astype(np.int64)
        limits = np.array([size.width, size.height] * 2)
        boxes = np.clip(corners, 0, limits)
        areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
        boxes[areas == 0] = 0
        masks = Masks.from_runs(
            size, boxes, tuple(np.array([0, area], np.uint32) for area in areas)
        )
    else:
        height, width = found.shape[1:]
        # one dense mask at a time
        runs = (rle.encode(np.asarray(found[index], np.bool_)) for index in range(count))
        masks = Masks.from_image_runs(Size(int(height), int(width)), runs)
    scores, classes = detections.confidence, detections.class_id
    names = detections.data.get(NAMES, [""] * count)
    return records.with_columns(
        masks,
        [
            {
                "predicted_iou": None if scores is None else float(scores[index]),
                "label": 0 if classes is None else int(classes[index]),
                "name": str(names[index]),
            }
            for index in range(count)
        ],
    )
