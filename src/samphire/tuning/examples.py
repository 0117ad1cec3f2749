"""A sample -> what one step learns from: the picture in a view, and its targets as tensors.

All chance is that of the sample in this epoch, so that order, workers and a resumed run change
nothing. Labels move by nearest neighbour and become shares of low-resolution cells only where a
loss can take shares. What lies in the padding, outside the picture or in an ignored region counts
nowhere.
"""

from dataclasses import dataclass

import numpy as np
import torch

from samphire.arrays import BoolArray, ByteArray, IntArray
from samphire.geometry import Frame
from samphire.predict.mask_prompt import coverage
from samphire.samples import Labelled
from samphire.samples.semantic import IGNORE, semantic_map
from samphire.tuning.augment import Kind, augment, draw_view

# Class maps are compared at this multiple of the decoder's resolution: thin things, vessels for
# example, are lost at SAM's 256 cells.
FINER = 2


@dataclass(frozen=True, eq=False)
class Example:
    """One picture of a step.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        objects: (N, H, W) bool; none is empty.
        classes: (H, W) int32, 0 the background, ``IGNORE`` where it does not count.
        valid: (H, W) bool, what counts.
    """

    image: ByteArray
    objects: BoolArray
    classes: IntArray
    valid: BoolArray


def make_example(
    labelled: Labelled, *, classes: int, objects: int, view: Kind, rng: np.random.Generator
) -> Example:
    """A picture in a view drawn at random, with some of its objects.

    Args:
        labelled: the picture and all its objects.
        classes: of the semantic task; 0 without one.
        objects: at most so many are taken, those that a view leaves empty not counted.
        view: kind of augmentation.
        rng: of the sample in this epoch.
    """
    chosen = np.flatnonzero(labelled.objects.area > 0)
    if len(chosen) > objects:
        chosen = np.sort(rng.choice(chosen, objects, replace=False))
    dense = labelled.objects[chosen].to_array()
    class_map = semantic_map(labelled, classes) if classes else np.zeros(0, np.int32)
    by_class = [class_map == label for label in range(1, classes + 1)]
    seen = augment(
        labelled.image,
        np.concatenate([dense, np.stack(by_class)]) if by_class else dense,
        draw_view(view, rng),
        ignore=labelled.ignore,
    )
    valid = seen.valid if seen.ignore is None else seen.valid & ~seen.ignore
    shown = seen.masks[: len(chosen)]
    moved = np.zeros(valid.shape, np.int32)
    for label, mask in enumerate(seen.masks[len(chosen) :], start=1):
        moved[mask] = label
    moved[~valid] = IGNORE
    counts = (shown & valid).any(axis=(1, 2))
    return Example(image=seen.image, objects=shown[counts], classes=moved, valid=valid)


def mask_targets(example: Example, frame: Frame) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares (N, S, S) of low-resolution cells that each object covers, and cells that count."""
    # rounding may leave a full cell a little above 1
    shares = [np.minimum(coverage(mask, frame), 1) for mask in example.objects]
    valid = coverage(example.valid, frame) > 0.5
    return torch.from_numpy(np.stack(shares)), torch.from_numpy(valid)


def class_target(example: Example, frame: Frame) -> torch.Tensor:
    """The class under the centre of each cell, (L, L) int64, L being ``FINER`` times S."""
    side = FINER * frame.low_res_side
    centres = (np.arange(side) + 0.5) * frame.input_side / side
    target = np.full((side, side), IGNORE, np.int64)
    inside = [centres < resized for resized in (frame.resized.height, frame.resized.width)]
    rows, columns = (
        np.minimum((centres[mask] * original / resized).astype(int), original - 1)
        for mask, original, resized in zip(
            inside,
            (frame.original.height, frame.original.width),
            (frame.resized.height, frame.resized.width),
            strict=True,
        )
    )
    target[: len(rows), : len(columns)] = example.classes[np.ix_(rows, columns)]
    return torch.from_numpy(target)
