"""The losses of tuning: SAM's for objects, cross-entropy with Dice for classes.

All take their arguments by keyword, count only valid pixels, and give one number a sample: the
mean over a batch is the loop's, so that no sample's loss depends on its neighbours. They are
computed in float32 whatever the model ran in. Targets may be soft: the share of a low-resolution
cell that the object covers. Not for reporting: metrics are taken on original pixels.
Source: Kirillov et al. 2023, appendix A, "Losses"; sam2 ``training/loss_fns.py``; for classes
Zhang and Liu 2023, "Customized Segment Anything Model", section 3.4 (SAMed).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from samphire.errors import check_shape

FOCAL_WEIGHT, DICE_WEIGHT, IOU_WEIGHT = 20.0, 1.0, 1.0  # SAM
CROSS_ENTROPY_WEIGHT, CLASS_DICE_WEIGHT = 0.2, 0.8  # SAMed
# The class of pixels that do not count.
IGNORE = -1


@dataclass(frozen=True, eq=False)
class SamLoss:
    """SAM's loss of B prompts.

    Attributes:
        total: (B,), the weighted sum; the only one to call ``backward`` on.
        focal: (B,), of the best mask, not weighted.
        dice: (B,), of the best mask.
        iou: (B,), squared error of the predicted IoU, mean over all masks.
        best: (B,) int64, the mask that took the gradient.
    """

    total: torch.Tensor
    focal: torch.Tensor
    dice: torch.Tensor
    iou: torch.Tensor
    best: torch.Tensor


@dataclass(frozen=True, eq=False)
class SemanticLoss:
    """The loss of B class maps.

    Attributes:
        total: (B,), the weighted sum.
        cross_entropy: (B,), mean over the valid pixels, not weighted.
        dice: (B,), mean over the classes without background.
    """

    total: torch.Tensor
    cross_entropy: torch.Tensor
    dice: torch.Tensor


def focal_loss(
    *,
    logits: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> torch.Tensor:
    """Cross-entropy of each pixel, less where it is already right; the mean of valid pixels.

    This is the term that still pulls where the target is empty. Source: Lin et al. 2017, "Focal
    Loss for Dense Object Detection".

    Args:
        logits: (..., h, w).
        target: (..., h, w), 0 to 1.
        valid: (..., h, w), 1 (or True) counts, 0 does not.
        alpha: weight of the object, against 1 - alpha of the rest.
        gamma: how fast pixels lose weight as they get right.

    Returns:
        (...), 0 where no pixel is valid.

    Raises:
        ShapeError: the shapes differ.
        ValueError: a valid pixel's target is not from 0 to 1.
    """
    logits, target, valid = _checked(logits, target, valid)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    wrong = probability * (1 - target) + (1 - probability) * target
    weight = alpha * target + (1 - alpha) * (1 - target)
    return _sum(valid * weight * wrong**gamma * entropy) / _sum(valid).clamp(min=1)


def dice_loss(
    *, logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, smooth: float = 1.0
) -> torch.Tensor:
    """One minus the overlap of probabilities and target, which does not depend on their size.

    Where the target is empty it is 1 - smooth / (sum of probabilities + smooth): weak, but it pulls
    the right way.

    Args:
        logits: (..., h, w).
        target: (..., h, w), 0 to 1.
        valid: (..., h, w), 1 (or True) counts, 0 does not.
        smooth: added above and below, > 0.

    Returns:
        (...), 0 to 1; 0 where no pixel is valid.

    Raises:
        ShapeError: the shapes differ.
        ValueError: a valid pixel's target is not from 0 to 1.
    """
    logits, target, valid = _checked(logits, target, valid)
    return _dice(logits.sigmoid(), target, valid, smooth)


def iou_loss(
    *,
    predicted_iou: torch.Tensor,
    logits: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
) -> torch.Tensor:
    """Squared error of the predicted IoU against that of the mask where logits are above 0.

    The mask is cut as ``segment`` cuts it, and takes no gradient. A cell of a soft target is on
    if at least half of it is covered; else no mask of a small object could reach 1.

    Args:
        predicted_iou: (...).
        logits: (..., h, w).
        target: (..., h, w), 0 to 1.
        valid: (..., h, w), 1 (or True) counts, 0 does not.

    Returns:
        (...), 0 where the target has no cell that is on: an object that is not there has no IoU
        to learn.

    Raises:
        ShapeError: the shapes differ.
        ValueError: a valid pixel's target is not from 0 to 1.
    """
    logits, target, valid = _checked(logits.detach(), target, valid)
    check_shape(predicted_iou, tuple(logits.shape[:-2]), "predicted_iou")
    mask, truth = logits > 0, target >= 0.5
    union = _sum(valid * (mask | truth))
    there = _sum(valid * truth) > 0
    actual = _sum(valid * (mask & truth)) / torch.where(there, union, 1)
    return torch.where(there, (_at_least_float32(predicted_iou) - actual) ** 2, 0)


def sam_loss(
    *,
    logits: torch.Tensor,
    predicted_iou: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
) -> SamLoss:
    """SAM's loss: 20 focal + dice of the best mask, + squared error of all predicted IoUs.

    Of M readings of a prompt only the one with the smallest 20 focal + dice is taught its shape, or
    the three would become the same. But each is taught how good it is: after tuning the predicted
    IoU chooses among them, and a head that only ever saw winners cannot tell a loser. sam2's code
    has both ways, and its training configuration takes this one (``supervise_all_iou``).

    Args:
        logits: (B, M, h, w).
        predicted_iou: (B, M).
        target: (B, h, w), 0 to 1.
        valid: (B, h, w), 1 (or True) counts, 0 does not.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: a valid pixel's target is not from 0 to 1.
    """
    check_shape(logits, ("B", "M", "h", "w"), "logits")
    count, _, height, width = logits.shape
    check_shape(target, (count, height, width), "target")
    check_shape(valid, (count, height, width), "valid")
    target, valid = target[:, None].expand_as(logits), valid[:, None].expand_as(logits)
    focal = focal_loss(logits=logits, target=target, valid=valid)
    dice = dice_loss(logits=logits, target=target, valid=valid)
    error = iou_loss(predicted_iou=predicted_iou, logits=logits, target=target, valid=valid)
    shape = FOCAL_WEIGHT * focal + DICE_WEIGHT * dice  # (B, M)
    best = shape.argmin(dim=1)
    one, iou = best[:, None], error.mean(dim=1)
    return SamLoss(
        total=shape.gather(1, one)[:, 0] + IOU_WEIGHT * iou,
        focal=focal.gather(1, one)[:, 0],
        dice=dice.gather(1, one)[:, 0],
        iou=iou,
        best=best,
    )


def semantic_loss(*, logits: torch.Tensor, target: torch.Tensor) -> SemanticLoss:
    """0.2 cross-entropy + 0.8 Dice, both of the softmax over all classes.

    SAMed's weights; its Dice squares the denominator and has background as a class, ours neither:
    background is where the other classes are not, and would hide them in the mean. A class that is
    not in the target counts as an empty one does in :func:`dice_loss`.

    Args:
        logits: (B, K+1, h, w); channel 0 is background.
        target: (B, h, w) int64, 0 to K; ``IGNORE`` where a pixel does not count.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: there is only one channel, whose softmax is always 1; or a target that is no
            channel.
    """
    check_shape(logits, ("B", "K+1", "h", "w"), "logits")
    count, channels, height, width = logits.shape
    check_shape(target, (count, height, width), "target")
    if channels < 2:
        raise ValueError(
            "logits has 1 channel: its softmax is always 1, so nothing would be learned; "
            "give background a channel of its own, or use sam_loss for one object"
        )
    if target.dtype != torch.int64:
        raise ValueError(f"target is {target.dtype}: expected int64 classes")
    if bool(((target < IGNORE) | (target >= channels)).any()):
        raise ValueError(
            f"target has classes from {int(target.min())} to {int(target.max())}: expected 0 to "
            f"{channels - 1}, or {IGNORE} to ignore; map the values of the label files to classes"
        )
    ignored = (target == IGNORE)[:, None]  # (B, 1, h, w)
    logits = _at_least_float32(logits).masked_fill(ignored, 0)
    valid = (~ignored).to(logits.dtype)
    entropy = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    cross_entropy = _sum(entropy) / _sum(valid[:, 0]).clamp(min=1)
    one_hot = torch.zeros_like(logits).scatter_(1, target[:, None].clamp(min=0), 1)
    of_classes = _dice(logits.softmax(dim=1), one_hot, valid.expand_as(logits), 1.0)  # (B, K+1)
    dice = of_classes[:, 1:].mean(dim=1)
    return SemanticLoss(
        total=CROSS_ENTROPY_WEIGHT * cross_entropy + CLASS_DICE_WEIGHT * dice,
        cross_entropy=cross_entropy,
        dice=dice,
    )


def _dice(
    probability: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, smooth: float
) -> torch.Tensor:
    shared = _sum(valid * probability * target)
    return 1 - (2 * shared + smooth) / (_sum(valid * (probability + target)) + smooth)


def _checked(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three as floats, 0 where they do not count: whatever lies there cannot matter."""
    # the same shape, not one that broadcasts: (B, h, w) against (B, 1, h, w) would pair strangers
    check_shape(target, tuple(logits.shape), "target")
    check_shape(valid, tuple(logits.shape), "valid")
    logits = _at_least_float32(logits)
    valid = valid.to(logits.dtype)
    target = target.to(logits.dtype).masked_fill(valid == 0, 0)
    if not bool(((target >= 0) & (target <= 1)).all()):
        raise ValueError(
            f"target goes from {float(target.min()):g} to {float(target.max()):g}: expected 0 to "
            "1; divide masks of 0 and 255 by 255, and mark pixels to ignore in valid"
        )
    return logits.masked_fill(valid == 0, 0), target, valid


def _at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision cannot hold sums over 65,536 pixels; float64 stays, for gradient checks."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _sum(pixels: torch.Tensor) -> torch.Tensor:
    """(..., h, w) -> (...)."""
    return pixels.sum(dim=(-2, -1))
