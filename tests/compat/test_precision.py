"""``.to()``, ``.half()``, ``.bfloat16()``, ``.double()``, autocast: all answer, in float32."""

import copy

import numpy as np
import pytest
import torch

from samphire.compat import SamPredictor
from samphire.compat.segment_anything.modeling.sam import from_samphire

# for logits and scores up to 1.5: a few units in the last place of 8, 11 or 24 bits
LIMITS = {torch.float64: 1e-5, torch.float16: 0.01, torch.bfloat16: 0.1}
POINT, INSIDE = np.array([[30.0, 40.0]]), np.array([1])


@pytest.fixture
def own(tiny_sam):
    """A model of its own: precision may be changed."""
    return from_samphire(copy.deepcopy(tiny_sam))


def answers(predictor):
    """A point, then a box with the mask of the point."""
    first = predictor.predict(POINT, INSIDE, return_logits=True)
    box = np.array([10.0, 10.0, 80.0, 60.0])
    return first, predictor.predict(box=box, mask_input=first[2][:1], return_logits=True)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", LIMITS)
def test_every_precision_answers_nearly_the_same(predictor, own, photo, dtype):
    other = SamPredictor(own.to(dtype))
    other.set_image(photo)
    assert other.features.dtype == dtype
    for found, expected in zip(answers(other), answers(predictor), strict=True):
        for left, right in zip(found, expected, strict=True):
            assert left.dtype == np.float32
            np.testing.assert_allclose(left, right, atol=LIMITS[dtype])
            assert np.abs(right).max() > 2 * LIMITS[dtype]


@pytest.mark.parametrize("part", ["image_encoder", "prompt_encoder", "mask_decoder"])
def test_one_part_may_have_another_precision(predictor, own, photo, part):
    if part == "image_encoder":
        own.image_encoder.bfloat16()
    else:
        own.prompt_encoder.bfloat16()
        own.mask_decoder.bfloat16()
    other = SamPredictor(own)
    other.set_image(photo)
    for found, expected in zip(answers(other), answers(predictor), strict=True):
        np.testing.assert_allclose(found[2], expected[2], atol=LIMITS[torch.bfloat16])


def test_autocast_answers(predictor, own, photo):
    other = SamPredictor(own)
    with torch.autocast("cpu", torch.bfloat16):
        other.set_image(photo)
        found = answers(other)
    for left, right in zip(found, answers(predictor), strict=True):
        np.testing.assert_allclose(left[2], right[2], atol=LIMITS[torch.bfloat16])


def test_forward_and_the_original_idiom_of_to_return_the_model(own, photo):
    assert own.to(device="cpu") is own
    predictor = SamPredictor(own.half())
    image = torch.as_tensor(predictor.transform.apply_image(photo)).permute(2, 0, 1)
    (answer,) = own([{"image": image, "original_size": (75, 100)}], multimask_output=True)
    assert answer["masks"].shape == (1, 3, 75, 100)


@pytest.mark.parametrize("dtype", LIMITS)
def test_parts_by_hand_take_what_preprocess_gives(own, photo, dtype):
    own.to(dtype)
    resized = SamPredictor(own).transform.apply_image(photo)
    picture = torch.as_tensor(resized).permute(2, 0, 1)[None]
    for given in (picture, picture.float()):
        assert own.image_encoder(own.preprocess(given)).dtype == dtype
