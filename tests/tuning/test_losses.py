"""Losses against numbers worked out by hand, their own gradients, and MONAI."""

import math

import numpy as np
import pytest
import torch

from samphire.errors import ShapeError
from samphire.tuning.losses import (
    IGNORE,
    dice_loss,
    focal_loss,
    iou_loss,
    sam_loss,
    semantic_loss,
)

# logits of probability 3/4 and 1/4
LIKELY, UNLIKELY = math.log(3), -math.log(3)


def _random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _case(seed=0, batch=3, readings=3, side=6):
    """Logits, predicted IoU, soft target and validity of some prompts."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand((batch, side, side), generator=generator)
    return {
        "logits": torch.randn((batch, readings, side, side), generator=generator),
        "predicted_iou": torch.rand((batch, readings), generator=generator),
        "target": (target * 3 - 1).clamp(0, 1),
        "valid": torch.rand((batch, side, side), generator=generator) > 0.2,
    }


def _pixels(seed=0, dtype=torch.float32):
    case = _case(seed)
    return {
        "logits": case["logits"][:, 0].to(dtype),
        "target": case["target"].to(dtype),
        "valid": case["valid"].to(dtype),
    }


def test_focal_loss_is_what_its_formula_gives_by_hand():
    loss = focal_loss(
        logits=torch.tensor([[[LIKELY, UNLIKELY, LIKELY]]]),
        target=torch.tensor([[[1.0, 1.0, 0.0]]]),
        valid=torch.ones(1, 1, 3),
    )
    right = 0.25 * 0.25**2 * -math.log(0.75)
    missed = 0.25 * 0.75**2 * -math.log(0.25)
    invented = 0.75 * 0.75**2 * -math.log(0.25)
    assert loss.tolist() == pytest.approx([(right + missed + invented) / 3], rel=1e-6)


def test_without_focus_and_balance_focal_loss_is_half_the_cross_entropy():
    pixels = _pixels()
    loss = focal_loss(**pixels, alpha=0.5, gamma=0.0)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        pixels["logits"], pixels["target"], weight=pixels["valid"], reduction="none"
    )
    expected = entropy.sum(dim=(1, 2)) / pixels["valid"].sum(dim=(1, 2)) / 2
    torch.testing.assert_close(loss, expected)


def test_dice_loss_is_what_its_formula_gives_by_hand():
    loss = dice_loss(
        logits=torch.tensor([[[LIKELY, UNLIKELY, LIKELY, 0.0]]]),
        target=torch.tensor([[[1.0, 1.0, 0.0, 1.0]]]),
        valid=torch.tensor([[[1, 1, 1, 0]]]),
    )
    # shared 3/4 + 1/4, probabilities 7/4, target 2
    assert loss.tolist() == pytest.approx([1 - (2 * 1 + 1) / (1.75 + 2 + 1)], rel=1e-6)


def test_dice_of_an_empty_target_is_weak_and_pulls_down():
    logits = torch.zeros(1, 2, 2, requires_grad=True)
    loss = dice_loss(logits=logits, target=torch.zeros(1, 2, 2), valid=torch.ones(1, 2, 2))
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([1 - 1 / (2 + 1)])
    assert (logits.grad > 0).all()


def test_iou_loss_is_what_its_formula_gives_by_hand():
    loss = iou_loss(
        predicted_iou=torch.tensor([0.9]),
        logits=torch.tensor([[[0.1, 0.2, -0.1, 5.0]]]),
        target=torch.tensor([[[1.0, 0.4, 0.5, 0.0]]]),
        valid=torch.tensor([[[1, 1, 1, 0]]]),
    )
    # mask {0, 1}, truth {0, 2}, of three valid cells
    assert loss.tolist() == pytest.approx([(0.9 - 1 / 3) ** 2], rel=1e-6)


def test_the_cut_is_at_logit_0_however_the_logits_lie():
    # all above 0: a probability taken for a logit, or a logit for a probability, would differ
    target = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    for low, actual in ((0.1, 0.5), (-0.1, 1.0)):
        logits = torch.tensor([[[0.2, 0.3, low, low]]])
        loss = iou_loss(
            predicted_iou=torch.zeros(1),
            logits=logits,
            target=target,
            valid=torch.ones_like(target),
        )
        assert loss.item() == pytest.approx(actual**2)


def test_a_perfect_mask_of_a_soft_target_has_iou_1():
    rows, columns = np.mgrid[:64, :64]
    disc = ((rows - 30.2) ** 2 + (columns - 33.7) ** 2 < 81).astype(np.float32)
    soft = torch.from_numpy(disc.reshape(16, 4, 16, 4).mean(axis=(1, 3)))[None]
    loss = iou_loss(
        predicted_iou=torch.ones(1),
        logits=soft * 20 - 9.99,
        target=soft,
        valid=torch.ones_like(soft),
    )
    assert loss.item() == 0


def test_iou_gives_no_gradient_to_the_masks_and_all_to_the_prediction():
    case = _case()
    logits = case["logits"][:, 0].requires_grad_()
    predicted = case["predicted_iou"][:, 0].requires_grad_()
    loss = iou_loss(
        predicted_iou=predicted, logits=logits, target=case["target"], valid=case["valid"]
    )
    loss.sum().backward()
    assert logits.grad is None
    assert (predicted.grad != 0).all()


def test_the_iou_of_an_object_that_is_not_there_is_not_learned():
    predicted = torch.tensor([0.7], requires_grad=True)
    nothing = torch.zeros(1, 3, 3)
    loss = iou_loss(
        predicted_iou=predicted,
        logits=torch.ones(1, 3, 3),
        target=nothing,
        valid=torch.ones(1, 3, 3),
    )
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert predicted.grad.tolist() == [0]


def test_sam_loss_is_20_focal_and_dice_of_the_best_and_the_error_of_all():
    case = _case(batch=5)
    loss = sam_loss(**case)
    for b in range(5):
        parts = []
        for m in range(3):
            pixels = {
                "logits": case["logits"][b, m],
                "target": case["target"][b],
                "valid": case["valid"][b],
            }
            error = iou_loss(predicted_iou=case["predicted_iou"][b, m], **pixels)
            parts.append((focal_loss(**pixels), dice_loss(**pixels), error))
        shapes = [20 * focal + dice for focal, dice, _ in parts]
        best = int(torch.stack(shapes).argmin())
        iou = torch.stack([error for _, _, error in parts]).mean()
        assert loss.best[b] == best
        torch.testing.assert_close(loss.focal[b], parts[best][0])
        torch.testing.assert_close(loss.dice[b], parts[best][1])
        torch.testing.assert_close(loss.iou[b], iou)
        torch.testing.assert_close(loss.total[b], shapes[best] + iou)


def test_the_best_is_that_of_the_weighted_sum():
    # blurred everywhere: little focal, much Dice; sharp with four pixels wrong: the other way
    target = torch.zeros(1, 20, 20)
    target[0, 2, :8] = 1
    blurred = target[0] * 2 - 2
    sharp = target[0] * 16 - 8
    sharp[9, :4] = 8
    logits = torch.stack([sharp, blurred])[None]
    valid = torch.ones_like(target)
    pair = {
        "logits": logits[0],
        "target": target.expand(2, -1, -1),
        "valid": valid.expand(2, -1, -1),
    }
    weighted = 20 * focal_loss(**pair) + dice_loss(**pair)
    summed = focal_loss(**pair) + dice_loss(**pair)
    assert weighted.argmin() != summed.argmin()
    loss = sam_loss(logits=logits, predicted_iou=torch.zeros(1, 2), target=target, valid=valid)
    assert loss.best.item() == weighted.argmin().item()


def test_only_the_best_mask_is_taught_its_shape_and_every_prediction_its_quality():
    case = _case()
    logits, predicted = case["logits"].requires_grad_(), case["predicted_iou"].requires_grad_()
    loss = sam_loss(**case)
    loss.total.sum().backward()
    taught = logits.grad.abs().sum(dim=(2, 3)) > 0
    assert torch.equal(taught, torch.nn.functional.one_hot(loss.best, 3).bool())
    assert (predicted.grad != 0).all()


def test_each_term_of_sam_loss_has_a_gradient():
    for term in ("focal", "dice"):
        case = _case()
        case["logits"].requires_grad_()
        getattr(sam_loss(**case), term).sum().backward()
        assert case["logits"].grad.abs().sum() > 0
    case = _case()
    case["predicted_iou"].requires_grad_()
    sam_loss(**case).iou.sum().backward()
    assert (case["predicted_iou"].grad != 0).all()


def test_an_empty_target_is_pulled_down_by_the_pixels():
    case = _case()
    case["target"].zero_()
    case["logits"].requires_grad_()
    loss = sam_loss(**case)
    loss.total.sum().backward()
    assert (loss.focal > 0).all()
    assert (loss.iou == 0).all()
    assert (case["logits"].grad >= 0).all()
    assert case["logits"].grad.sum() > 0


def test_semantic_loss_is_what_its_formula_gives_by_hand():
    # probabilities 1/2, 1/4, 1/4 of three classes at two pixels; a third is ignored
    logits = torch.tensor([math.log(2), 0.0, 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 1, 3)
    loss = semantic_loss(logits=logits, target=torch.tensor([[[0, 1, IGNORE]]]))
    entropy = (-math.log(0.5) - math.log(0.25)) / 2
    first = 1 - (2 * 0.25 + 1) / (0.5 + 1 + 1)
    absent = 1 - 1 / (0.5 + 1)
    assert loss.cross_entropy.item() == pytest.approx(entropy, rel=1e-6)
    assert loss.dice.item() == pytest.approx((first + absent) / 2, rel=1e-6)
    assert loss.total.item() == pytest.approx(0.2 * entropy + 0.8 * (first + absent) / 2, rel=1e-6)


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("term", ["cross_entropy", "dice"])
def test_each_term_of_semantic_loss_has_a_gradient(term, classes):
    logits = _random(2, classes + 1, 5, 5).requires_grad_()
    target = torch.arange(50).reshape(2, 5, 5) % (classes + 1)
    getattr(semantic_loss(logits=logits, target=target), term).sum().backward()
    assert (logits.grad.abs().sum(dim=(2, 3)) > 0).all()


@pytest.mark.parametrize("loss", [focal_loss, dice_loss])
def test_no_valid_pixel_gives_0_attached_to_the_graph(loss):
    pixels = _pixels()
    pixels["logits"].requires_grad_()
    pixels["valid"].zero_()
    value = loss(**pixels)
    value.sum().backward()
    assert value.tolist() == [0, 0, 0]
    assert (pixels["logits"].grad == 0).all()


def test_no_valid_pixel_gives_0_of_the_whole_losses_too():
    case = _case()
    case["valid"].zero_()
    case["logits"].requires_grad_()
    case["predicted_iou"].requires_grad_()
    total = sam_loss(**case).total
    total.sum().backward()
    assert total.tolist() == [0, 0, 0]
    assert (case["predicted_iou"].grad == 0).all()

    logits = _random(2, 3, 4, 4).requires_grad_()
    total = semantic_loss(logits=logits, target=torch.full((2, 4, 4), IGNORE)).total
    total.sum().backward()
    assert total.tolist() == [0, 0]
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("rubbish", [1e30, float("inf"), float("nan")])
def test_what_lies_under_pixels_that_do_not_count_cannot_matter(rubbish):
    case = _case()
    other = {key: value.clone() for key, value in case.items()}
    other["logits"].masked_fill_(~case["valid"][:, None], rubbish).requires_grad_()
    other["target"].masked_fill_(~case["valid"], 255)
    loss = sam_loss(**other)
    loss.total.sum().backward()
    assert torch.equal(loss.total, sam_loss(**case).total)
    assert other["logits"].grad.isfinite().all()

    logits, target = _random(2, 3, 6, 6), torch.arange(72).reshape(2, 6, 6) % 4 - 1
    filled = logits.masked_fill((target == IGNORE)[:, None], rubbish).requires_grad_()
    loss = semantic_loss(logits=filled, target=target)
    loss.total.sum().backward()
    assert torch.equal(loss.total, semantic_loss(logits=logits, target=target).total)
    assert filled.grad.isfinite().all()


def test_padding_does_not_change_a_loss():
    case = _case()
    padded = {
        "logits": torch.nn.functional.pad(case["logits"], (0, 4, 0, 3), value=7.0),
        "predicted_iou": case["predicted_iou"],
        "target": torch.nn.functional.pad(case["target"], (0, 4, 0, 3), value=1.0),
        "valid": torch.nn.functional.pad(case["valid"], (0, 4, 0, 3)),
    }
    torch.testing.assert_close(sam_loss(**padded).total, sam_loss(**case).total)


def test_a_sample_loses_the_same_alone_and_in_any_company():
    case = _case(batch=4)
    whole = sam_loss(**case)
    order = [2, 0, 3, 1]
    turned = sam_loss(**{key: value[order] for key, value in case.items()})
    for b in range(4):
        alone = sam_loss(**{key: value[b : b + 1] for key, value in case.items()})
        torch.testing.assert_close(alone.total[0], whole.total[b])
        torch.testing.assert_close(turned.total[order.index(b)], whole.total[b])

    logits, target = _random(3, 4, 6, 6), torch.arange(108).reshape(3, 6, 6) % 5 - 1
    target[0] = 2
    whole = semantic_loss(logits=logits, target=target).total
    for b in range(3):
        alone = semantic_loss(logits=logits[b : b + 1], target=target[b : b + 1]).total
        torch.testing.assert_close(alone[0], whole[b])


@pytest.mark.parametrize("loss", [focal_loss, dice_loss])
def test_gradients_are_those_of_differences(loss):
    pixels = _pixels(dtype=torch.float64)
    logits = pixels.pop("logits").requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(logits=x, **pixels), logits)


def test_gradients_of_the_whole_losses_are_those_of_differences():
    case = _case()
    logits = case.pop("logits").double().requires_grad_()
    predicted = case.pop("predicted_iou").double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, y: sam_loss(logits=x, predicted_iou=y, **case).total, (logits, predicted)
    )
    logits = _random(2, 3, 4, 4).double().requires_grad_()
    target = torch.arange(32).reshape(2, 4, 4) % 4 - 1
    assert torch.autograd.gradcheck(lambda x: semantic_loss(logits=x, target=target).total, logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_are_float32_whatever_the_model_ran_in(dtype):
    # a large mask: the sum of 65,536 pixels is infinite in float16 and stands still in bfloat16
    half = torch.full((1, 1, 256, 256), LIKELY, dtype=dtype)
    target = torch.ones(1, 256, 256)
    channels = torch.cat([-half, half], dim=1)
    given = {"predicted_iou": torch.ones(1, 1, dtype=dtype), "target": target, "valid": target}
    with torch.autocast("cpu", torch.bfloat16):
        loss = sam_loss(logits=half, **given)
        classes = semantic_loss(logits=channels, target=target.long())
    expected = sam_loss(logits=half.float(), **given)
    assert loss.total.dtype == classes.total.dtype == torch.float32
    torch.testing.assert_close(loss.total, expected.total)
    assert loss.dice.item() == pytest.approx(1 - 1.5 / 1.75, rel=1e-2)
    assert classes.total.isfinite().all()


def test_sure_and_wrong_is_finite():
    case = _case()
    case["logits"] = torch.where(case["target"] > 0.5, -1e4, 1e4)[:, None].repeat(1, 3, 1, 1)
    case["logits"].requires_grad_()
    loss = sam_loss(**case)
    loss.total.sum().backward()
    assert loss.total.isfinite().all()
    assert case["logits"].grad.isfinite().all()


@pytest.mark.parametrize("loss", [focal_loss, dice_loss])
@pytest.mark.parametrize("wrong", [255.0, -0.1, float("nan")])
def test_a_target_outside_0_to_1_is_refused_with_what_to_do(loss, wrong):
    pixels = _pixels()
    pixels["target"][0, 0, 0], pixels["valid"][0, 0, 0] = wrong, 1
    with pytest.raises(ValueError, match=r"expected 0 to 1; divide masks of 0 and 255"):
        loss(**pixels)


def test_shapes_that_would_only_broadcast_are_refused():
    case = _case(batch=1)
    with pytest.raises(ShapeError, match="target has shape"):
        focal_loss(logits=case["logits"], target=case["target"], valid=case["valid"])
    with pytest.raises(ShapeError, match="valid has shape"):
        sam_loss(**case | {"valid": case["valid"][:, :1]})
    with pytest.raises(ShapeError, match="predicted_iou has shape"):
        sam_loss(**case | {"predicted_iou": case["predicted_iou"][:, :1]})
    with pytest.raises(ShapeError, match="target has shape"):
        semantic_loss(logits=case["logits"], target=case["target"].long()[:, None])


@pytest.mark.parametrize(
    ("channels", "value", "words"),
    [
        (1, 0, "softmax is always 1"),
        (3, 3, "from 3 to 3: expected 0 to 2, or -1"),
        (3, 255, "map the values"),
        (3, -2, "expected 0 to 2"),
    ],
)
def test_classes_that_are_no_channel_are_refused(channels, value, words):
    target = torch.full((1, 2, 2), value)
    with pytest.raises(ValueError, match=words):
        semantic_loss(logits=torch.zeros(1, channels, 2, 2), target=target)


def test_classes_must_be_whole_numbers():
    with pytest.raises(ValueError, match=r"target is torch\.float32: expected int64"):
        semantic_loss(logits=torch.zeros(1, 2, 2, 2), target=torch.zeros(1, 2, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_losses_equal_monai_where_it_computes_the_same():
    from monai.losses import DiceLoss, FocalLoss

    logits, target = _random(3, 1, 9, 7), (_random(3, 1, 9, 7, seed=1) > 0).float()
    pixels = {"logits": logits[:, 0], "target": target[:, 0], "valid": torch.ones(3, 9, 7)}
    focal = FocalLoss(alpha=0.25, gamma=2.0, reduction="none")(logits, target)
    torch.testing.assert_close(focal_loss(**pixels), focal.mean(dim=(1, 2, 3)))
    dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0, reduction="none")
    torch.testing.assert_close(dice_loss(**pixels), dice(logits, target).flatten())

    logits, classes = _random(3, 4, 9, 7), torch.arange(189).reshape(3, 9, 7) % 4
    of_classes = DiceLoss(
        include_background=False,
        softmax=True,
        to_onehot_y=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
        reduction="none",
    )(logits, classes[:, None])
    loss = semantic_loss(logits=logits, target=classes)
    torch.testing.assert_close(loss.dice, of_classes.mean(dim=(1, 2, 3)))
    entropy = torch.nn.functional.cross_entropy(logits, classes, reduction="none")
    torch.testing.assert_close(loss.cross_entropy, entropy.mean(dim=(1, 2)))
