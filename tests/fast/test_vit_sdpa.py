"""The fused encoder gives the plain one's answers, with adapters and in half precision, too."""

import copy

import pytest
import torch
from conftest import random_weights
from hypothesis import given
from hypothesis import strategies as st

from samphire.adapters import Adaptation
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.fast import vit_sdpa
from samphire.fast.vit_sdpa import FusedAttention, plain_parts, with_fused_attention
from samphire.model.image_encoder import ImageEncoderViT
from samphire.model.variants import vit


def encoder(**changes):
    settings = {
        "img_size": 96,
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "out_chans": 8,
        "use_rel_pos": True,
        "window_size": 4,
        "global_attn_indexes": (1,),
    }
    made = ImageEncoderViT(**{**settings, **changes})
    random_weights(made)
    return made.eval()


def pixels(side=96, count=1):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@given(
    side=st.integers(1, 8),
    count=st.integers(1, 2),
    heads=st.sampled_from([1, 2, 4]),
    window=st.integers(0, 5),
    positions=st.booleans(),
    most=st.sampled_from([1, 500, 2**30]),
)
@torch.no_grad()
def test_the_answers_are_those_of_the_plain_encoder(side, count, heads, window, positions, most):
    plain = encoder(num_heads=heads, window_size=window, use_rel_pos=positions)
    before, vit_sdpa.MOST_BIAS = vit_sdpa.MOST_BIAS, most
    try:
        found = with_fused_attention(plain)(pixels(16 * side, count))
    finally:
        vit_sdpa.MOST_BIAS = before
    torch.testing.assert_close(found, plain(pixels(16 * side, count)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", [0, 4])
@torch.no_grad()
def test_heads_one_at_a_time_give_the_same(monkeypatch, window):
    plain = encoder(window_size=window)
    monkeypatch.setattr(vit_sdpa, "MOST_BIAS", 1)
    found = with_fused_attention(plain)(pixels())
    torch.testing.assert_close(found, plain(pixels()), rtol=1e-4, atol=1e-4)


def test_weights_are_shared_and_the_plain_encoder_stays_as_it_is():
    plain = encoder()
    fused = with_fused_attention(plain)
    assert plain_parts(plain) == ()
    assert all(isinstance(block.attn, FusedAttention) for block in fused.blocks)
    assert not any(isinstance(block.attn, FusedAttention) for block in plain.blocks)
    ours, theirs = (sorted(p.data_ptr() for p in each.parameters()) for each in (plain, fused))
    assert ours == theirs
    with torch.no_grad():
        plain.blocks[0].attn.qkv.weight.mul_(2)
        torch.testing.assert_close(fused(pixels()), plain(pixels()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [Lora(), Bottleneck()])
@torch.no_grad()
def test_adapters_are_called_where_they_are(method):
    sam = vit(32, 2, 2, (1,), table_side=64)
    random_weights(sam)
    adapted = Adaptation(method, decoder=True).apply(sam.eval())
    for value in adapted.parameters().values():
        value.normal_(std=0.1)
    worn = adapted.module.image_encoder
    found = with_fused_attention(worn)(pixels(64))
    torch.testing.assert_close(found, worn(pixels(64)), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, sam.image_encoder(pixels(64)), atol=1e-3)


def test_an_attention_whose_probabilities_are_watched_is_kept():
    plain, seen = encoder(), []
    plain.blocks[1].attn.probabilities.register_forward_hook(lambda *_: seen.append(1))
    assert plain_parts(plain) == ("blocks.1.attn probabilities has a hook",)
    fused = with_fused_attention(plain)
    with torch.no_grad():
        found = fused(pixels())
    assert seen == [1]
    torch.testing.assert_close(found, plain(pixels()), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_half_precision_is_as_near_as_that_of_the_plain_encoder():
    plain = encoder()
    exact = plain(pixels())
    with torch.autocast("cpu", torch.bfloat16):
        found, usual = (each(pixels()) for each in (with_fused_attention(plain), plain))
    assert (found - exact).abs().mean() < 1.5 * (usual - exact).abs().mean()


def test_gradients_pass_as_through_the_plain_encoder():
    plain = encoder()
    fused = with_fused_attention(copy.deepcopy(plain))
    for each in (plain, fused):
        each(pixels()).square().mean().backward()
    found, expected = fused.blocks[1].attn.plain.rel_pos_h.grad, plain.blocks[1].attn.rel_pos_h.grad
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
