"""Everything mode's first half: a grid of points on one part of an image -> masks worth keeping.

Every point asks for three masks. What the model doubts, what depends on where the logits are cut,
and what the crop cut off is dropped here; that many of the rest are the same object is settled
above, in ``everything.py``.
Source: Kirillov et al. 2023, appendix B, "Filtering"; segment-anything
``automatic_mask_generator.py`` for the order of the filters and which of them are strict.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from samphire.arrays import FloatArray, IntArray
from samphire.embedding import LowRes
from samphire.engines.base import Session
from samphire.errors import CancelledError
from samphire.geometry import Frame, Size
from samphire.masks import Masks
from samphire.masks.algebra import concat
from samphire.predict.crops import Crop, near_crop_edge
from samphire.predict.reduce import reduce_masks
from samphire.predict.upscale import ReducedMask
from samphire.prompts import InputPrompts

# Points in one call of the decoder: few enough that progress and cancelling are prompt.
POINTS_PER_CALL = 16


@dataclass(frozen=True)
class Filters:
    """Which of the model's masks are worth keeping.

    Attributes:
        min_predicted_iou: keep a mask whose predicted IoU is above; at 0 or below keep all.
        min_stability: keep a mask whose stability is at least this; see ``masks/scores.py``.
        stability_offset: of the stability score, in logits, > 0.
        mask_threshold: the logit above which a pixel is on.
        crop_edge_distance: drop a mask whose box ends within so many pixels of its crop's edge,
            unless that is an edge of the image.
    """

    min_predicted_iou: float
    min_stability: float
    stability_offset: float
    mask_threshold: float
    crop_edge_distance: float


@dataclass(frozen=True, eq=False)
class Place:
    """An embedded part of an image, ready for prompts.

    Attributes:
        session: of the part.
        frame: of the part.
        crop: where it lies.
        size: of the whole image.
    """

    session: Session
    frame: Frame
    crop: Crop
    size: Size


def candidates(
    place: Place,
    points: FloatArray,
    filters: Filters,
    *,
    on_points: Callable[[int], None] = lambda _: None,
    cancel: Callable[[], bool] = lambda: False,
) -> Masks:
    """The masks that points get and that pass the filters, in the order of the points.

    Args:
        place: where to ask.
        points: (P, 2), as shares of the part's width and height.
        filters: see above. Empty masks never pass.
        on_points: told how many points were asked for, after each call of the decoder.
        cancel: asked before each call of the decoder.

    Returns:
        Masks on the whole image; ``point`` and ``crop_box`` say where each was asked for.

    Raises:
        CancelledError: ``cancel`` said so.
        NonFiniteError: the model gave NaN or infinity.
    """
    x0, y0, x1, y1 = place.crop.box
    part = points * np.array([x1 - x0, y1 - y0], np.float64)
    found = [Masks.from_runs(place.size, np.zeros((0, 4)), ())]
    for start in range(0, len(part), POINTS_PER_CALL):
        if cancel():
            raise CancelledError("cancelled before everything in the image was found")
        asked = part[start : start + POINTS_PER_CALL]
        answer = place.session.decode(
            _as_prompts(asked, place.frame),
            multimask=True,
            min_predicted_iou=filters.min_predicted_iou if filters.min_predicted_iou > 0 else None,
        )
        found.append(_passed(answer, asked, place, filters))
        on_points(len(asked))
    return concat(found)


def _as_prompts(points: FloatArray, frame: Frame) -> InputPrompts:
    """One object a point."""
    labels = np.ones((len(points), 1), np.int32)
    return InputPrompts(points=frame.to_input(points)[:, None], labels=labels)


def _passed(answer: LowRes, points: FloatArray, place: Place, filters: Filters) -> Masks:
    """The masks of one call that pass, on the whole image."""
    reduced = reduce_masks(
        answer.logits,
        place.frame,
        threshold=filters.mask_threshold,
        stability_offset=filters.stability_offset,
        min_stability=filters.min_stability,
    )
    rows = [row for row, mask in enumerate(reduced) if mask is not None]
    masks = [mask for mask in reduced if mask is not None]
    passed = _on_image(masks, answer.kept[rows], answer.predicted_iou, points, place)
    near = near_crop_edge(passed.boxes, place.crop, place.size, filters.crop_edge_distance)
    return passed[~near]


def _on_image(
    masks: list[ReducedMask],
    kept: IntArray,
    predicted_iou: FloatArray,
    points: FloatArray,
    place: Place,
) -> Masks:
    corner = np.array(place.crop.box[:2])
    boxes = np.array([mask.box for mask in masks], np.int32).reshape(-1, 4)
    asked, column = kept.reshape(-1, 2).T
    return replace(
        Masks.from_runs(place.size, boxes + np.tile(corner, 2), tuple(mask.runs for mask in masks)),
        predicted_iou=predicted_iou[asked, column],
        stability=np.array([mask.stability for mask in masks]),
        candidate=column + 1,
        point=points[asked] + corner,
        crop_box=np.tile(place.crop.box, (len(masks), 1)),
    )
