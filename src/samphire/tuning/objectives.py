"""What a step minimises: simulated conversations about objects, and class maps.

Each function gives losses one after the other, and keeps nothing between two of them: the loop
takes the gradient of each before it asks for the next, so eleven rounds need the memory of one.
Source: Kirillov et al. 2023, appendix A, "Training algorithm"; Zhang and Liu 2023 (SAMed).
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from samphire.adapters.semantic import SemanticHead
from samphire.arrays import BoolArray, FloatArray
from samphire.evaluation.prompts import (
    Click,
    box_of,
    errors,
    first_click,
    jittered_box,
    random_click,
)
from samphire.geometry import Frame, Size
from samphire.model.sam import Sam
from samphire.tuning.examples import FINER, Example, class_target, mask_targets
from samphire.tuning.losses import sam_loss, semantic_loss

# A cell is of the object if at least half of it is.
HALF = 0.5
# The paper's noise of boxes is at most 20 pixels of a picture whose longest side is 1024.
NOISE, LONGEST_SIDE = 20.0, 1024


def conversation(
    sam: Sam,
    features: torch.Tensor,
    example: Example,
    frame: Frame,
    *,
    corrections: int,
    boxes_only: bool,
    rng: np.random.Generator,
) -> Iterator[torch.Tensor]:
    """Losses of a first prompt and of the clicks that correct its answer, 1 + corrections of them.

    All objects get a click, or all a box, each with the same chance. A click is answered by three
    masks, of which the best is taught; everything else by the token that is used for it when
    people ask. A correction is a random pixel of the error, and the answer before goes in, too.

    Args:
        sam: with its adapter.
        features: (1, C, G, G), of ``example.image``.
        example: with at least one object.
        frame: of its picture.
        corrections: how many.
        boxes_only: the first prompt is a box, never a click.
        rng: of the sample in this epoch.
    """
    device = features.device
    target, valid = (part.to(device) for part in mask_targets(example, frame))
    valid = valid.expand_as(target)
    boxes = _boxes(example, frame, rng) if boxes_only or rng.random() < HALF else None
    points = _first_points(example, frame, rng) if boxes is None else np.zeros((len(target), 0, 2))
    labels = np.ones(points.shape[:2], np.int64)
    previous = None
    for turn in range(1 + corrections):
        given = None
        if points.shape[1]:
            given = (_tensor(points, device), torch.from_numpy(labels).to(device))
        ambiguous = turn == 0 and boxes is None
        logits, predicted_iou = sam.decode(
            features, given, None if boxes is None else _tensor(boxes, device), previous, ambiguous
        )
        yield sam_loss(
            logits=logits, predicted_iou=predicted_iou, target=target, valid=valid
        ).total.mean()
        best = predicted_iou.detach().argmax(1)
        previous = logits.detach().float()[torch.arange(len(best)), best][:, None]
        clicks, said = _corrections(previous[:, 0] > 0, target, valid[0], frame, rng)
        points = np.concatenate([points, clicks[:, None]], axis=1)
        labels = np.concatenate([labels, said[:, None]], axis=1)


def class_maps(
    sam: Sam, head: SemanticHead, features: torch.Tensor, example: Example, frame: Frame
) -> torch.Tensor:
    """The loss of the classes of a picture; arguments as for :func:`conversation`."""
    logits = head(sam, features)
    finer = functional.interpolate(logits.float(), scale_factor=FINER, mode="bilinear")
    target = class_target(example, frame).to(features.device)
    return semantic_loss(logits=finer, target=target[None]).total.mean()


def _boxes(example: Example, frame: Frame, rng: np.random.Generator) -> FloatArray:
    """A box about each object, as a hand would draw it, in the input frame."""
    size = Size(*example.valid.shape)
    most = NOISE * max(size.height, size.width) / LONGEST_SIDE
    drawn = [jittered_box(box_of(mask), size, rng, most=most) for mask in example.objects]
    return frame.to_input(np.array(drawn))


def _first_points(example: Example, frame: Frame, rng: np.random.Generator) -> FloatArray:
    """A pixel of each object, (N, 1, 2), in the input frame."""
    clicks = [first_click(mask & example.valid, rng) for mask in example.objects]
    return frame.to_input(np.array([[(click.x, click.y)] for click in clicks if click]))


def _corrections(
    predicted: torch.Tensor,
    shares: torch.Tensor,
    valid: torch.Tensor,
    frame: Frame,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """A click at an error of each object, (N, 2) in the input frame, and its label (N,).

    Where there is no error, a cell of the object is confirmed: of one that has no cell of its own,
    because it is too small, that of which it covers most.
    """
    cell = frame.input_side / frame.low_res_side
    ignore: BoolArray = ~valid.cpu().numpy()
    places, labels = [], []
    for mine, share in zip(predicted.cpu().numpy(), shares.cpu().numpy(), strict=True):
        true: BoolArray = share >= HALF
        click = random_click(*errors(mine, true, ignore), rng) or first_click(true & ~ignore, rng)
        if click is None:
            y, x = divmod(int(share.argmax()), share.shape[1])
            click = Click(x, y, label=1)
        # the middle of the cell; half a pixel less, which the prompt encoder adds
        places.append(((click.x + 0.5) * cell - 0.5, (click.y + 0.5) * cell - 0.5))
        labels.append(click.label)
    return np.array(places), np.array(labels, np.int64)


def _tensor(array: FloatArray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float32)).to(device)
