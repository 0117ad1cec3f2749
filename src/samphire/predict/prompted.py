"""Prompts -> masks: :func:`decode` for logits, :func:`segment` for masks in the original frame.

Which of the model's four masks is the answer: for one point and nothing else, which is ambiguous
(the wheel, or the car?), the best of tokens 1 to 3 by predicted IoU; otherwise token 0, which was
trained for prompts that leave no doubt. ``multimask`` overrides it; what was taken is recorded.
Source: Kirillov et al. 2023, appendix A, "Making the model ambiguity-aware".
"""

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.arrays import FloatArray, IntArray
from samphire.embedding import EngineInfo, ImageEmbedding, LowRes
from samphire.engines.base import Engine, Session
from samphire.errors import PromptError
from samphire.geometry import Frame
from samphire.images.preprocessing import preprocessing
from samphire.images.read import ImageLike
from samphire.masks import Decoded, Masks
from samphire.predict.embed import embed
from samphire.predict.mask_prompt import mask_prompt_logits
from samphire.predict.upscale import ReducedMask, reduce_mask
from samphire.prompts import InputPrompts, ObjectPrompt, Prompts

logger = logging.getLogger(__name__)

# Low-resolution logits of so many objects wait at a time to be cut out.
OBJECTS_PER_CALL = 64


def decode(
    engine: Engine,
    image: ImageEmbedding | ImageLike,
    *,
    points: Sequence[Any] | FloatArray | None = None,
    labels: Sequence[Any] | IntArray | None = None,
    boxes: Sequence[Any] | FloatArray | None = None,
    mask: npt.ArrayLike | None = None,
    previous: npt.ArrayLike | None = None,
    multimask: bool | None = None,
) -> Decoded:
    """Low-resolution logits for prompts; arguments as for :func:`segment`.

    Returns:
        B objects with M candidates each; ``decoded[b, m]`` goes into ``previous=`` to refine.

    Raises:
        PromptError: a prompt cannot be used on this picture.
        EmbeddingMismatchError: another model made the embedding.
    """
    prompts = Prompts.of(points, labels, boxes, mask, previous)
    embedding = image if isinstance(image, ImageEmbedding) else embed(engine, image)
    answers = list(_answers(engine, embedding, prompts, multimask=multimask))
    order = np.argsort(np.concatenate([answer.objects for answer in answers]))
    logits = np.concatenate([answer.low_res.grid for answer in answers])[order]
    scores = np.concatenate([answer.low_res.predicted_iou for answer in answers])[order]
    candidates = np.concatenate([answer.candidates for answer in answers])[order]
    return Decoded(_low_res(logits, scores), candidates, embedding.frame)


def segment(
    engine: Engine,
    image: ImageEmbedding | ImageLike,
    *,
    points: Sequence[Any] | FloatArray | None = None,
    labels: Sequence[Any] | IntArray | None = None,
    boxes: Sequence[Any] | FloatArray | None = None,
    mask: npt.ArrayLike | None = None,
    previous: npt.ArrayLike | None = None,
    multimask: bool | None = None,
) -> Masks:
    """Masks of the prompted objects, in pixels of the original picture.

    Args:
        engine: from ``samphire.load``.
        image: an embedding, or a picture, which is embedded first (the slow part).
        points: clicks x, y in original pixels. A flat list, ``[(520, 375), (10, 20)]``, is one
            object; a list of lists is one object each.
        labels: nested as ``points``: 1 the object, 0 background; left out, all are 1.
        boxes: (B, 4), x0, y0, x1, y1 in original pixels: B objects.
        mask: (H, W) or (B, H, W) bool, a rough mask of each object.
        previous: (S, S) or (B, S, S), ``decoded[b, m]`` of an earlier answer to refine.
        multimask: None for the best single answer, True for all three of an ambiguous prompt,
            False for the single-answer token.

    Returns:
        Masks in the order of the objects, candidates of one object together.

    Raises:
        PromptError: a prompt cannot be used on this picture, or there is none.
        ImageError: the picture cannot be read.
        EmbeddingMismatchError: another model made the embedding.
    """
    prompts = Prompts.of(points, labels, boxes, mask, previous)
    embedding = image if isinstance(image, ImageEmbedding) else embed(engine, image)
    return segment_prompts(engine, embedding, prompts, multimask=multimask)


def segment_prompts(
    engine: Engine,
    embedding: ImageEmbedding,
    prompts: Prompts,
    *,
    multimask: bool | None = None,
) -> Masks:
    """Like :func:`segment`, for prompts that are read already (any mixture of objects)."""
    answers = _answers(engine, embedding, prompts, multimask=multimask)
    rows = [row for answer in answers for row in _rows(answer, embedding.frame)]
    rows.sort(key=lambda row: row.index)  # stable: candidates keep their order
    points = [prompts.objects[row.index].points for row in rows]
    return replace(
        Masks.from_runs(
            embedding.frame.original,
            [row.mask.box for row in rows],
            tuple(row.mask.runs for row in rows),
        ),
        stability=np.array([row.mask.stability for row in rows]),
        predicted_iou=np.array([row.predicted_iou for row in rows]),
        prompt_index=np.array([row.index for row in rows]),
        candidate=np.array([row.candidate for row in rows]),
        point=np.array([given[0] if len(given) else (np.nan, np.nan) for given in points]),
    )


@dataclass(frozen=True, eq=False)
class _Row:
    """One mask of the result."""

    index: int
    candidate: int
    predicted_iou: float
    mask: ReducedMask


@dataclass(frozen=True, eq=False)
class _Answer:
    """What one call of the decoder says about some of the objects; arrays of B rows."""

    objects: IntArray
    low_res: LowRes
    candidates: IntArray


def _answers(
    engine: Engine,
    embedding: ImageEmbedding,
    prompts: Prompts,
    *,
    multimask: bool | None,
) -> Iterator[_Answer]:
    """Decode the objects, those of equal length together, ``OBJECTS_PER_CALL`` at a time."""
    _check(prompts, embedding)
    if any(item.box is None for item in prompts.objects):
        warn_of_untrained_prompts(engine.info)
    session = engine.session(embedding)
    for group in prompts.groups():
        for start in range(0, len(group), OBJECTS_PER_CALL):
            chunk = group[start : start + OBJECTS_PER_CALL]
            items = [prompts.objects[index] for index in chunk]
            low_res, candidates = _decode_alike(
                session, items, embedding.frame, multimask=multimask
            )
            yield _Answer(np.array(chunk), low_res, candidates)


def _check(prompts: Prompts, embedding: ImageEmbedding) -> None:
    if not len(prompts) or any(item.is_empty for item in prompts.objects):
        raise PromptError(
            "there is nothing to segment: give each object points, a box or a mask "
            "(segment_everything finds all without prompts)"
        )
    prompts.check_inside(embedding.frame.original, embedding.image)
    side = embedding.frame.low_res_side
    for item in prompts.objects:
        if item.previous is not None and item.previous.shape != (side, side):
            raise PromptError(
                f"previous has shape {item.previous.shape}: expected ({side}, {side}), the "
                "logits of an earlier answer by this model"
            )


def warn_of_untrained_prompts(info: EngineInfo) -> None:
    """Say so, once a model, if it was not trained for prompts without a box."""
    if preprocessing(info.preprocessing).boxes_only:
        _warn_once(info.model)


@functools.cache  # once a model, not once a click
def _warn_once(model: str) -> None:
    logger.warning(
        "%s was trained with boxes alone: its answers to clicks and masks are guesses; give each "
        "object a box",
        model,
    )


def _decode_alike(
    session: Session, items: list[ObjectPrompt], frame: Frame, *, multimask: bool | None
) -> tuple[LowRes, IntArray]:
    """Decode objects of one kind; the logits, and the mask token of each column."""
    ambiguous = multimask is None and items[0].is_single_point
    low_res = session.decode(_to_input(items, frame), multimask=bool(multimask) or ambiguous)
    if not ambiguous:
        tokens = [1, 2, 3] if multimask else [0]
        return low_res, np.tile(tokens, (len(items), 1))
    best = low_res.predicted_iou.argmax(axis=1)[:, None]
    chosen = np.take_along_axis(low_res.grid, best[:, :, None, None], axis=1)
    scores = np.take_along_axis(low_res.predicted_iou, best, axis=1)
    return _low_res(chosen, scores), best + 1


def _to_input(items: list[ObjectPrompt], frame: Frame) -> InputPrompts:
    """Objects of one kind, from original pixels to the model's input frame."""
    boxes = [item.box for item in items if item.box is not None]
    masks = [_mask_logits(item, frame) for item in items]
    logits = [given for given in masks if given is not None]
    return InputPrompts(
        points=frame.to_input(np.stack([item.points for item in items])),
        labels=np.stack([item.labels for item in items]),
        boxes=frame.to_input(np.stack(boxes)) if boxes else None,
        masks=np.stack(logits)[:, None] if logits else None,
    )


def _mask_logits(item: ObjectPrompt, frame: Frame) -> FloatArray | None:
    """What the model gets for the object's mask prompt, (S, S)."""
    if item.mask is not None:
        return mask_prompt_logits(item.mask, frame)
    return item.previous


def _low_res(grid: FloatArray, predicted_iou: FloatArray) -> LowRes:
    """A LowRes of all candidates from (B, M, S, S) logits."""
    return LowRes(
        logits=grid.reshape(-1, *grid.shape[2:]),
        kept=np.argwhere(np.ones(predicted_iou.shape)),
        predicted_iou=predicted_iou,
    )


def _rows(answer: _Answer, frame: Frame) -> Iterator[_Row]:
    """The masks of an answer in the original frame, one at a time."""
    grid, scores = answer.low_res.grid, answer.low_res.predicted_iou
    for (b, m), token in np.ndenumerate(answer.candidates):
        mask = reduce_mask(grid[b, m], frame)
        yield _Row(int(answer.objects[b]), int(token), float(scores[b, m]), mask)
