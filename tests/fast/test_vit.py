"""The compiled ViT gives the plain one's answers, and leaves alone what it does not understand."""

import copy
import threading
from functools import partial

import pytest
import torch
from conftest import random_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from samphire.adapters import Adaptation
from samphire.adapters.bottleneck import Bottleneck
from samphire.errors import ShapeError
from samphire.fast import packed, vit_attention, vit_block
from samphire.fast.vit import compile_vit
from samphire.fast.vit_block import FastBlock
from samphire.fast.workspace import Workspace
from samphire.model.image_encoder import ImageEncoderViT
from samphire.model.variants import vit


def small(**changes) -> ImageEncoderViT:
    """A grid of 8, windows of 5 (so the last ones are filled up), two global blocks."""
    settings = {
        "img_size": 64, "patch_size": 8, "embed_dim": 32, "depth": 4, "num_heads": 2,
        "out_chans": 16, "norm_layer": partial(nn.LayerNorm, eps=1e-6), "use_rel_pos": True,
        "window_size": 5, "global_attn_indexes": (1, 3),
    }  # fmt: skip
    encoder = ImageEncoderViT(**(settings | changes))
    random_weights(encoder)
    return encoder.eval()


def pixels(side: int = 64, count: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(side))


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to the order of sums: 1e-5 of the root mean square."""
    rms = float(expected.pow(2).mean().sqrt())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * rms)


@torch.no_grad()
def check(encoder: ImageEncoderViT, picture: torch.Tensor) -> None:
    fast = compile_vit(encoder)
    assert fast.plain_blocks == ()
    found = fast(picture)
    assert_same(found, encoder(picture))
    assert found.is_contiguous()


@settings(deadline=None)  # the first call packs for the first time
@given(
    heads=st.integers(1, 3),
    width=st.sampled_from([8, 12, 16]),
    window=st.integers(0, 6),
    grid=st.integers(1, 9),
    table=st.integers(1, 9),
    count=st.integers(1, 2),
    relative=st.booleans(),
    absolute=st.booleans(),
    bias=st.booleans(),
)
def test_any_shape_gives_the_plain_answer(
    heads, width, window, grid, table, count, relative, absolute, bias
):
    encoder = small(
        img_size=4 * table, patch_size=4, embed_dim=heads * width, num_heads=heads, depth=2,
        window_size=window, global_attn_indexes=(1,), use_rel_pos=relative, use_abs_pos=absolute,
        qkv_bias=bias,
    )  # fmt: skip
    check(encoder, pixels(4 * grid, count))
