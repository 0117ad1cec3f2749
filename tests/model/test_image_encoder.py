"""The ViT encoder equals the original code and `transformers`, and can be cut and resized."""

import hugging_face
import numpy as np
import pytest
import torch
from conftest import random_weights
from torch import nn

from samphire.errors import ShapeError
from samphire.model.image_encoder import ImageEncoderViT, get_rel_pos


def norm(dim):
    return nn.LayerNorm(dim, eps=1e-6)


def small(**changes) -> ImageEncoderViT:
    """The sizes of `golden/vit_b_tiny.npz`: a grid of 8, windows of 5, two global blocks."""
    settings = {
        "img_size": 128, "patch_size": 16, "embed_dim": 32, "depth": 4, "num_heads": 2,
        "out_chans": 32, "norm_layer": norm, "use_rel_pos": True, "window_size": 5,
        "global_attn_indexes": (1, 3),
    }  # fmt: skip
    encoder = ImageEncoderViT(**(settings | changes))
    random_weights(encoder)
    return encoder.eval()


PIXELS = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def test_every_block_equals_the_original(golden):
    with np.load(golden / "vit_b_tiny.npz") as file:
        recorded = {key: torch.from_numpy(file[key]) for key in file}
    encoder = small()
    prefix = "weights/image_encoder."
    encoder.load_state_dict(
        {key.removeprefix(prefix): value for key, value in recorded.items() if prefix in key},
        strict=True,
    )
    seen = {}
    encoder.patch_embed.register_forward_hook(lambda _m, _i, out: seen.update({"patch_embed": out}))
    for index, block in enumerate(encoder.blocks):
        block.register_forward_hook(
            lambda _m, _i, out, index=index: seen.update({f"block{index}": out})
        )
    with torch.no_grad():
        seen["output"] = encoder(recorded["encoder/input"])
    for name in ("patch_embed", "block0", "block1", "block2", "block3", "output"):
        torch.testing.assert_close(seen[name], recorded[f"encoder/{name}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", [4, 5, 8, 14])
def test_it_equals_transformers(window):
    theirs = hugging_face.small_model(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, mlp_dim=128, window_size=window,
        global_attn_indexes=[1, 3], use_rel_pos=True,
    )  # fmt: skip
    random_weights(theirs)
    encoder = small(window_size=window)
    encoder.load_state_dict(hugging_face.published_encoder_names(theirs), strict=True)
    with torch.no_grad():
        expected = theirs.get_image_embeddings(PIXELS)
        tolerance = max(1e-5, 1e-5 * float(expected.abs().max()))
        torch.testing.assert_close(encoder(PIXELS), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("block", range(5))
def test_it_can_be_cut_before_any_block(block):
    encoder = small()
    with torch.no_grad():
        tokens = encoder.encode_until(PIXELS, block)
        assert tokens.shape == (2, 8, 8, 32)
        assert torch.equal(encoder.encode_from(tokens, block), encoder(PIXELS))


@pytest.mark.parametrize("side", [64, 96, 208])
def test_another_side_resizes_both_position_tables(side):
    encoder = small()
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    grid = side // 16
    rebuilt = small(img_size=side)
    state = encoder.state_dict()
    table = nn.functional.interpolate(
        state["pos_embed"].permute(0, 3, 1, 2), (grid, grid), mode="bicubic"
    )
    state["pos_embed"] = table.permute(0, 2, 3, 1)
    for index in (1, 3):
        for axis in "hw":
            name = f"blocks.{index}.attn.rel_pos_{axis}"
            state[name] = nn.functional.interpolate(
                state[name].T[None], 2 * grid - 1, mode="linear"
            )[0].T
    rebuilt.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels), rebuilt(pixels), atol=1e-5, rtol=1e-5)
        assert encoder(pixels).shape == (1, 32, grid, grid)


@pytest.mark.parametrize("shape", [(1, 3, 100, 100), (1, 3, 128, 64), (3, 128, 128)])
def test_sides_that_do_not_fit_are_refused(shape):
    with pytest.raises(ShapeError, match="the encoder's input"):
        small()(torch.zeros(shape))


def test_relative_positions_are_looked_up_by_distance():
    table = torch.arange(5.0)[:, None]  # distances -2 to 2
    found = get_rel_pos(3, 3, table)[..., 0]
    assert found.tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


def test_probabilities_can_be_watched():
    encoder = small()
    seen = []
    encoder.blocks[1].attn.probabilities.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        encoder(PIXELS)
    assert seen[0].shape == (2 * 2, 64, 64)
    torch.testing.assert_close(seen[0].sum(-1), torch.ones(4, 64))


def test_every_parameter_gets_a_gradient():
    encoder = small()
    encoder(PIXELS).pow(2).sum().backward()
    assert [name for name, value in encoder.named_parameters() if value.grad is None] == []
    still = [name for name, value in encoder.named_parameters() if not value.grad.any()]
    assert still == []
