"""The protocols of interactive segmentation: how good masks are after each click, or for a box.

A simulated user clicks in the middle of the largest error, sees the new mask, clicks again. All
masks and clicks are in pixels of the original picture, masks are cut at logit 0, and nothing is
left to chance. Objects of one picture are decoded together, each as if it were alone. Not for
choosing clicks (``prompts.py``).

Source: Kirillov et al. 2023, sections 7.1 and D.1, for the protocol and mIoU after n clicks;
Sofiiuk et al. 2021 (RITM), section 4, for the number of clicks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray, FloatArray, IntArray, read_only
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.errors import PromptError, ShapeError, check_shape
from samphire.evaluation.prompts import Click, errors, farthest_click
from samphire.masks import Masks, rle
from samphire.predict.prompted import OBJECTS_PER_CALL, decode, segment
from samphire.predict.upscale import THRESHOLD, upscale

# The number of clicks of an object that does not get good enough.
MOST_CLICKS = 20


@dataclass(frozen=True, eq=False)
class ClickResult:
    """What an object's mask was like after each click.

    Where no error was left to click at (each pixel is clicked once), the last row is repeated.

    Attributes:
        ious: (C,) float64, IoU with the true mask after 1 to C clicks.
        oracle_iou: the best IoU of the three masks after the first click: what a user who picks
            one of them gets. ``ious[0]`` is that of the mask that the model prefers.
        clicks: those that were given, at least 1 and at most C.
        masks: C masks, after each click.
    """

    ious: FloatArray
    oracle_iou: float
    clicks: tuple[Click, ...]
    masks: Masks

    def __post_init__(self) -> None:
        check_shape(self.ious, (len(self.masks),), "ious")
        object.__setattr__(self, "ious", read_only(self.ious, np.float64))

    def __repr__(self) -> str:
        shown = ", ".join(f"{iou:.2f}" for iou in self.ious)
        return f"ClickResult(IoU {shown}; oracle {self.oracle_iou:.2f})"


def click_curve(
    engine: Engine,
    embedding: ImageEmbedding,
    true: BoolArray,
    *,
    clicks: int = 9,
    ignore: BoolArray | None = None,
    first: Click | None = None,
) -> ClickResult:
    """:func:`click_curves` of one object, ``true`` (H, W) bool."""
    check_shape(true, ("H", "W"), "true")
    (result,) = click_curves(
        engine,
        embedding,
        Masks.from_arrays(true[None]),
        clicks=clicks,
        ignore=ignore,
        first=None if first is None else [first],
    )
    return result


def click_curves(
    engine: Engine,
    embedding: ImageEmbedding,
    truth: Masks,
    *,
    clicks: int = 9,
    ignore: BoolArray | None = None,
    first: Sequence[Click] | None = None,
) -> tuple[ClickResult, ...]:
    """Click at each object of a picture until its mask is right, and note how good it gets.

    The answer to the first click is the best of three by predicted IoU, as ``samphire.segment``
    gives it; those to later clicks refine it, the logits of the answer before being given too.

    Args:
        engine: from ``samphire.load``.
        embedding: of the picture.
        truth: N true masks, in original pixels.
        clicks: C, how many at most.
        ignore: (H, W) bool, pixels that count neither way. None: all count.
        first: where the user clicks first at each object; None for the middle of it. The harder
            setting of the paper takes ``prompts.first_click``.

    Returns:
        A result for each object.

    Raises:
        ShapeError: masks are not of the picture's size.
        PromptError: an object has no pixel that counts.
        EmbeddingMismatchError: another model made the embedding.
    """
    _check_truth(truth, embedding)
    if clicks < 1:
        raise ValueError(f"clicks is {clicks}: expected at least 1")
    if ignore is not None:
        check_shape(ignore, (truth.size.height, truth.size.width), "ignore")
    if first is not None and len(first) != len(truth):
        raise PromptError(f"{len(first)} first clicks for {len(truth)} objects: expected one each")
    courses = []
    for start in range(0, len(truth), OBJECTS_PER_CALL):
        chosen = range(start, min(start + OBJECTS_PER_CALL, len(truth)))
        chunk = [_course(truth[i], ignore, first[i] if first else None, i) for i in chosen]
        for _ in range(clicks):
            _click_at(engine, embedding, [course for course in chunk if course.upcoming])
        courses += chunk
    return tuple(course.result(clicks) for course in courses)


def box_result(engine: Engine, embedding: ImageEmbedding, true: BoolArray) -> Masks:
    """:func:`box_results` of one object, ``true`` (H, W) bool: one mask."""
    check_shape(true, ("H", "W"), "true")
    return box_results(engine, embedding, Masks.from_arrays(true[None]))


def box_results(engine: Engine, embedding: ImageEmbedding, truth: Masks) -> Masks:
    """The model's masks for the tight boxes of N true masks, in their order.

    Raises:
        ShapeError: the masks are not of the picture's size.
        PromptError: a mask is empty.
        EmbeddingMismatchError: another model made the embedding.
    """
    _check_truth(truth, embedding)
    return segment(engine, embedding, boxes=truth.boxes.astype(np.float64)) if len(truth) else truth


def number_of_clicks(ious: npt.ArrayLike, target: float) -> int:
    """NoC@target: the first click after which the IoU is at least the target; 20 if none is.

    Tell :func:`reached` beside it: an object that took 20 clicks and one that 20 did not suffice
    for count the same.

    Args:
        ious: (C,), after 1 to C clicks.
        target: 0 to 1, usually 0.85 or 0.90.

    Raises:
        ValueError: the target was not reached, and fewer than 20 clicks were tried.
    """
    found = np.asarray(ious)[:MOST_CLICKS] >= target
    if found.any():
        return int(found.argmax()) + 1
    if len(found) < MOST_CLICKS:
        raise ValueError(
            f"{len(found)} clicks did not reach an IoU of {target:g}, and more were not tried: "
            f"the number of clicks needs a curve of clicks={MOST_CLICKS}"
        )
    return MOST_CLICKS


def reached(ious: npt.ArrayLike, target: float) -> bool:
    """Whether the IoU was at least the target after one of the first 20 clicks."""
    return bool((np.asarray(ious)[:MOST_CLICKS] >= target).any())


def mean_iou_at(results: Iterable[ClickResult], clicks: int) -> float:
    """mIoU@n of one data set: the mean over its objects after so many clicks; NaN without any.

    Raises:
        ValueError: fewer clicks were tried.
    """
    curves = [result.ious for result in results]
    tried = min((len(curve) for curve in curves), default=clicks)
    if not 1 <= clicks <= tried:
        raise ValueError(f"IoU after {clicks} clicks: expected 1 to {tried}, as many as were tried")
    return float(np.mean([curve[clicks - 1] for curve in curves])) if curves else float("nan")


@dataclass(eq=False)
class _Course:
    """One object while it is clicked at; grows by a row a click."""

    truth: Masks
    ignore: BoolArray | None
    area: int
    upcoming: Click | None
    clicks: list[Click] = field(default_factory=list)
    runs: list[IntArray] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    oracle_iou: float = float("nan")
    previous: FloatArray | None = None

    def wrong(self, predicted: BoolArray) -> tuple[BoolArray, BoolArray]:
        return errors(predicted, self.truth.to_array()[0], self.ignore)

    def iou(self, predicted: BoolArray) -> float:
        """Over the pixels that count, of which the object has some."""
        missed, extra = self.wrong(predicted)
        return float((self.area - missed.sum()) / (self.area + extra.sum()))

    def add(self, click: Click, logits: FloatArray, predicted: BoolArray) -> None:
        """Note the answer to a click, and find the next one."""
        self.clicks.append(click)
        self.previous = logits
        self.runs.append(rle.encode(predicted))
        self.ious.append(self.iou(predicted))
        self.upcoming = farthest_click(*self.wrong(predicted), clicked=self.clicks)

    def result(self, clicks: int) -> ClickResult:
        rows = np.minimum(np.arange(clicks), len(self.clicks) - 1)
        return ClickResult(
            ious=np.array(self.ious)[rows],
            oracle_iou=self.oracle_iou,
            clicks=tuple(self.clicks),
            masks=Masks.from_image_runs(self.truth.size, self.runs)[rows],
        )


def _click_at(engine: Engine, embedding: ImageEmbedding, courses: list[_Course]) -> None:
    """One more click at each of some objects that have had equally many."""
    if not courses:
        return
    given = [[*course.clicks, course.upcoming] for course in courses if course.upcoming]
    previous = [course.previous for course in courses if course.previous is not None]
    decoded = decode(
        engine,
        embedding,
        points=[[(click.x, click.y) for click in clicks] for clicks in given],
        labels=[[click.label for click in clicks] for clicks in given],
        previous=np.stack(previous) if previous else None,
        multimask=None if previous else True,
    )
    best = decoded.predicted_iou.argmax(axis=1)
    for row, (course, clicks) in enumerate(zip(courses, given, strict=True)):
        logits = decoded.logits[row]
        candidates = [upscale(each, embedding.frame) > THRESHOLD for each in logits]
        if not previous:
            course.oracle_iou = max(course.iou(each) for each in candidates)
        course.add(clicks[-1], logits[best[row]], candidates[best[row]])


def _course(truth: Masks, ignore: BoolArray | None, first: Click | None, index: int) -> _Course:
    """One object before the first click, which is at its middle if none is given."""
    true = truth.to_array()[0]
    missed, extra = errors(np.zeros_like(true), true, ignore)
    middle = farthest_click(missed, extra)
    if middle is None:
        raise PromptError(f"object {index} has no pixel that counts: leave it out")
    return _Course(truth, ignore, area=int(missed.sum()), upcoming=first or middle)


def _check_truth(truth: Masks, embedding: ImageEmbedding) -> None:
    if truth.size != embedding.frame.original:
        raise ShapeError(
            f"the true masks are {truth.size}, {embedding.image} is {embedding.frame.original}: "
            "expected masks in pixels of the original picture"
        )
    empty = np.flatnonzero(truth.area == 0)
    if len(empty):
        raise PromptError(
            f"objects {empty.tolist()} have no pixels, so that nobody can point at them: leave "
            "them out"
        )
