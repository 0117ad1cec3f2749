"""Simulated users: the clicks and boxes that somebody who knows the answer would give.

Evaluation and tuning take their prompts from here, so that both mean the same by "a click". Masks
are bool (H, W); a click names a pixel of them by x and y, in that order, so that
``mask[click.y, click.x]`` is the pixel. The rule without chance is for evaluation, the others draw
from a generator that the caller makes with :func:`generator`. Not for real users' prompts:
``samphire.prompts``.

Source: Sofiiuk et al. 2021, "Reviving iterative training with mask guidance" (RITM), the clicker of
its published evaluation, for :func:`farthest_click`; Kirillov et al. 2023, appendix A, "Training
algorithm", for the others.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from samphire.arrays import BoolArray, FloatArray
from samphire.errors import PromptError, check_shape
from samphire.geometry import Size

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Click:
    """A pixel, and what it is said to be.

    Attributes:
        x: column, from 0.
        y: row, from 0.
        label: 1 the object, 0 background.
    """

    x: int
    y: int
    label: Literal[0, 1]


def generator(seed: int, epoch: int, sample_id: str) -> np.random.Generator:
    """The chance of one sample in one epoch: the same in any order and in any worker."""
    key = hashlib.sha256(f"{seed}/{epoch}/{sample_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key, "big"))


def errors(
    predicted: BoolArray, true: BoolArray, ignore: BoolArray | None = None
) -> tuple[BoolArray, BoolArray]:
    """Where a mask is wrong.

    Args:
        predicted: (H, W) bool.
        true: (H, W) bool.
        ignore: (H, W) bool, pixels that count neither way. None: all count.

    Returns:
        ``missed``, of the object but not predicted, and ``extra``, predicted but not of the
        object: (H, W) bool.

    Raises:
        ShapeError: the shapes differ.
    """
    check_shape(predicted, ("H", "W"), "predicted")
    check_shape(true, predicted.shape, "true")
    wrong = np.not_equal(predicted, true)
    if ignore is not None:
        check_shape(ignore, true.shape, "ignore")
        wrong &= np.logical_not(ignore)
    return np.logical_and(wrong, true), np.logical_and(wrong, predicted)


def farthest_click(
    missed: BoolArray, extra: BoolArray, clicked: Sequence[Click] = ()
) -> Click | None:
    """The middle of the largest error: the pixel of one that is farthest from all others.

    The outside of the image is no error. Of equal pixels the first by rows is taken, of equally
    large errors the one of too much.

    Args:
        missed: (H, W) bool, where the click is on the object.
        extra: (H, W) bool, where the click is on the background.
        clicked: clicks that were given, whose pixels are not named again.

    Returns:
        The click; None where there is no error that has not been clicked.

    Raises:
        ShapeError: the shapes differ.
    """
    check_shape(missed, ("H", "W"), "missed")
    check_shape(extra, missed.shape, "extra")
    missed_depth, missed_place = _deepest(missed, clicked)
    extra_depth, extra_place = _deepest(extra, clicked)
    if missed_depth > extra_depth:
        return Click(*missed_place, label=1)
    return Click(*extra_place, label=0) if extra_depth > 0 else None


def random_click(missed: BoolArray, extra: BoolArray, rng: np.random.Generator) -> Click | None:
    """Any pixel of the errors, each as likely: what SAM is trained with.

    Args:
        missed: (H, W) bool, where the click is on the object.
        extra: (H, W) bool, where the click is on the background.
        rng: see :func:`generator`.

    Returns:
        The click; None where there is no error.

    Raises:
        ShapeError: the shapes differ.
    """
    check_shape(missed, ("H", "W"), "missed")
    check_shape(extra, missed.shape, "extra")
    places = np.flatnonzero(np.logical_or(missed, extra))
    if not len(places):
        return None
    y, x = divmod(int(rng.choice(places)), missed.shape[1])
    return Click(x, y, label=1 if missed[y, x] else 0)


def first_click(mask: BoolArray, rng: np.random.Generator) -> Click | None:
    """Any pixel of the object, each as likely; None where it has none."""
    return random_click(mask, np.zeros_like(mask), rng)


def box_of(mask: BoolArray) -> Box:
    """The tight box x0, y0, x1, y1 of a mask (H, W): half-open, as ``Masks.boxes``.

    Raises:
        PromptError: the mask is empty.
    """
    check_shape(mask, ("H", "W"), "mask")
    left, top, width, height = _bounds(mask)
    if not width:
        raise PromptError("an empty mask has no box: leave out objects without pixels")
    return (float(left), float(top), float(left + width), float(top + height))


def jittered_box(
    box: Sequence[float] | FloatArray,
    size: Size,
    rng: np.random.Generator,
    *,
    share: float = 0.1,
    most: float = 20.0,
) -> Box:
    """A box as a hand would draw it: noise on each coordinate.

    The paper gives the noise "standard deviation equal to 10% of the box sidelength, to a maximum
    of 20 pixels"; the maximum is read as one of the noise, so that no corner moves further.

    Args:
        box: x0, y0, x1, y1 in pixels, half-open.
        size: of the image, to which the new box is clipped.
        rng: see :func:`generator`.
        share: standard deviation of the noise as a share of the box's side.
        most: how far a coordinate may move, in pixels of this image; SAM's 20 are meant for an
            input of 1024.

    Returns:
        The box; an axis along which noise and clipping would leave nothing stays as it was.
    """
    corners = np.asarray(box, np.float64)
    check_shape(corners, (4,), "box")
    sides = np.tile(corners[2:] - corners[:2], 2)
    noise = np.clip(rng.normal(size=4) * sides * share, -most, most)
    moved = np.clip(corners + noise, 0, [size.width, size.height] * 2)
    kept = np.tile(moved[:2] < moved[2:], 2)
    x0, y0, x1, y1 = np.where(kept, moved, corners).tolist()
    return (x0, y0, x1, y1)


def _deepest(error: BoolArray, clicked: Sequence[Click]) -> tuple[float, tuple[int, int]]:
    """How far the inmost pixel of an error is from its outside, 0 without one; its x and y."""
    left, top, width, height = _bounds(error)
    if not width:
        return 0.0, (0, 0)
    # What lies beyond the error's own box is farther than the ring around it.
    window = error[top : top + height, left : left + width].astype(np.uint8)
    ringed = cv2.distanceTransform(np.pad(window, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    depth = ringed[1:-1, 1:-1]
    for click in clicked:
        x, y = click.x - left, click.y - top
        if 0 <= x < width and 0 <= y < height:
            depth[y, x] = 0
    y, x = divmod(int(depth.argmax()), width)
    return float(depth[y, x]), (left + x, top + y)


def _bounds(mask: BoolArray) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is on; zeros if nothing is."""
    left, top, width, height = cv2.boundingRect(np.asarray(mask, np.bool_).astype(np.uint8))
    return left, top, width, height
