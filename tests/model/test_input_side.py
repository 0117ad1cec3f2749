"""A ViT model at another input side: shared weights, resized tables, the whole path."""

import numpy as np
import pytest
import torch
from conftest import random_weights
from torch import nn

import samphire
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import EmbeddingMismatchError
from samphire.model import variants
from samphire.model.sam import Sam, at_input_side


def small(table_side: int = 128) -> Sam:
    return variants.vit(32, 2, 2, (1,), table_side=table_side)


@pytest.fixture(scope="module")
def sam() -> Sam:
    made = small()
    random_weights(made)
    return made.eval()


@pytest.fixture(scope="module")
def rebuilt(sam):
    """A model made for 64 pixels, with the tables resized beforehand."""
    state = dict(sam.state_dict())
    table = state["image_encoder.pos_embed"].permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(table, (4, 4), mode="bicubic")
    state["image_encoder.pos_embed"] = resized.permute(0, 2, 3, 1)
    for axis in "hw":
        name = f"image_encoder.blocks.1.attn.rel_pos_{axis}"
        state[name] = nn.functional.interpolate(state[name].T[None], 7, mode="linear")[0].T
    made = small(table_side=64)
    made.load_state_dict(state, strict=True)
    return made.eval()


def test_it_answers_as_a_model_made_for_that_side(sam, rebuilt, rng):
    image = rng.integers(0, 256, (40, 90, 3), np.uint8)
    prompts = {"points": [[(20, 10)], [(70, 30)]], "multimask": True}
    found, expected = (
        samphire.decode(engine, image, **prompts, mask=np.ones((2, 40, 90), bool))
        for engine in (
            TorchEngine(at_input_side(sam, 64), preprocessing="sam-64"),
            TorchEngine(rebuilt, preprocessing="sam-64"),
        )
    )
    assert found.logits.shape == (2, 3, 16, 16)
    tolerance = max(1e-5, 1e-5 * float(np.abs(expected.logits).max()))
    np.testing.assert_allclose(found.logits, expected.logits, atol=tolerance, rtol=0)
    np.testing.assert_allclose(found.predicted_iou, expected.predicted_iou, atol=tolerance, rtol=0)


def test_the_weights_are_shared_and_the_model_stays_as_it_is(sam):
    other = at_input_side(sam, 64)
    pairs = zip(sam.parameters(), other.parameters(), strict=True)
    assert all(mine is theirs for mine, theirs in pairs)
    assert sam.prompt_encoder.image_embedding_size == (8, 8)
    assert sam.prompt_encoder.input_image_size == (128, 128)
    assert sam.prompt_encoder.mask_input_size == (32, 32)
    assert not other.training


def test_its_own_side_changes_nothing(sam):
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for found, expected in zip(
            at_input_side(sam, 128)(pixels, None, None, None, True),
            sam(pixels, None, None, None, True),
            strict=True,
        ):
            assert torch.equal(found, expected)


def test_its_embedding_is_of_the_real_shape_and_comes_back_from_a_file(rng, tmp_path):
    large = variants.vit(32, 1, 2, (0,))  # tables for 1024 pixels
    random_weights(large)
    engine = TorchEngine(at_input_side(large, 512), preprocessing="sam-512")
    image = rng.integers(0, 256, (300, 400, 3), np.uint8)
    embedding = samphire.embed(engine, image)
    assert embedding.features.shape == (1, 256, 32, 32)
    path = tmp_path / "picture.safetensors"
    samphire.save_embedding(embedding, path)
    loaded = samphire.load_embedding(path)
    assert loaded.equal(embedding)
    masks = samphire.segment(engine, loaded, boxes=[(10, 20, 200, 250)])
    assert masks.to_array().shape == (1, 300, 400)
    with pytest.raises(EmbeddingMismatchError, match="preprocessing sam-512"):
        TorchEngine(large, preprocessing="sam-1024").session(loaded)


def test_a_tiny_vit_is_refused(tiny_sam):
    with pytest.raises(ValueError, match=r"input side 128: a TinyViT .* choose a model with a ViT"):
        at_input_side(tiny_sam, 128)


@pytest.mark.parametrize("side", [-16, 0, 8, 100])
def test_a_side_that_is_no_multiple_of_a_patch_is_refused(sam, side):
    with pytest.raises(ValueError, match=f"input side {side}: expected a multiple of 16"):
        at_input_side(sam, side)
