"""The compiled ViT gives the plain one's answers, and leaves alone what it does not understand."""

import copy
import threading
from functools import partial

import pytest
import torch
from conftest import random_weights
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from samphire.adapters.bottleneck import AfterAttention, BesideMlp
from samphire.errors import ShapeError
from samphire.fast import packed, vit_attention, vit_block
from samphire.fast.vit import compile_vit
from samphire.fast.vit_block import FastBlock
from samphire.fast.workspace import Workspace
from samphire.model.image_encoder import ImageEncoderViT


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


def assert_same(found: torch.Tensor, expected: torch.Tensor, *, within: float = 1e-5) -> None:
    """Equal but for the order of sums: the largest difference relative to the root mean square."""
    rms = float(expected.pow(2).mean().sqrt())
    torch.testing.assert_close(found, expected, rtol=0, atol=within * rms)


@torch.no_grad()
def check(encoder: ImageEncoderViT, picture: torch.Tensor, plain: tuple[str, ...] = ()) -> None:
    fast = compile_vit(encoder)
    assert fast.plain_blocks == plain
    assert_same(fast(picture), encoder(picture))


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


@pytest.mark.parametrize("changes", [{}, {"embed_dim": 48, "window_size": 4}, {"img_size": 112}])
@pytest.mark.parametrize("side", [48, 64, 112])
def test_every_side_gives_the_plain_answer_again_and_again(side, changes):
    encoder = small(**changes)
    fast = compile_vit(encoder)
    with torch.no_grad():
        for picture in (pixels(side, 2), pixels(64), pixels(side)):  # buffers grow and are reused
            assert_same(fast(picture), encoder(picture))


def test_tiles_that_do_not_come_out_even_give_the_plain_answer(monkeypatch):
    monkeypatch.setattr(vit_block, "ROWS", 27)
    monkeypatch.setattr(vit_attention, "TILE", 3 * 8 * 64)  # three rows of queries, then two
    check(small(), pixels())


def test_without_packed_operators_the_answer_is_the_same(monkeypatch):
    monkeypatch.setattr(packed, "can_pack", lambda: False)
    check(small(), pixels())


@pytest.mark.parametrize("window", [0, 3, 5])
def test_the_algebra_is_exact(monkeypatch, window):
    """In float64 nothing is left of the difference but rounding, 1e-12 where float32 has 1e-5."""
    monkeypatch.setattr(packed, "can_pack", lambda: False)
    block = small(window_size=window, global_attn_indexes=()).blocks[0].double()
    tokens = torch.randn(1, 8, 8, 32, dtype=torch.float64)
    with torch.inference_mode():
        found = tokens.clone()
        FastBlock(block)(found[0].flatten(0, 1), Workspace(torch.float64))
        torch.testing.assert_close(found, block(tokens), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "table",
    ["rel_pos_h", "rel_pos_w"],
)
@pytest.mark.parametrize("index", [0, 1])
def test_each_table_of_relative_positions_counts(table, index):
    encoder = small()
    before = compile_vit(encoder)(pixels())
    with torch.no_grad():
        getattr(encoder.blocks[index].attn, table).zero_()
    assert (compile_vit(encoder)(pixels()) - before).abs().max() > 1e-3
    check(encoder, pixels())


def test_an_adapter_costs_its_block_only():
    encoder = small()
    for wrapper, index, place in (
        (AfterAttention(32, 8), 1, "attn"),
        (BesideMlp(32, 8, 0.5), 2, "mlp"),
    ):
        wrapper.base = getattr(encoder.blocks[index], place)
        setattr(encoder.blocks[index], place, wrapper)
    random_weights(encoder)
    fast = compile_vit(encoder)
    assert [type(block) is FastBlock for block in fast.blocks] == [True, False, False, True]
    assert [reason.split(",")[0] for reason in fast.plain_blocks] == [
        "block 1: attn is a AfterAttention",
        "block 2: mlp is a BesideMlp",
    ]
    check(encoder, pixels(count=2), fast.plain_blocks)


def test_a_hook_keeps_its_block_plain_and_what_it_sees_does_not_change():
    encoder = small()
    seen = []
    hooked = encoder.blocks[1]
    hooked.register_forward_hook(lambda _module, given, _out: seen.append(given[0]))
    encoder.blocks[2].attn.probabilities.register_forward_pre_hook(lambda *_: None)
    plain = ("block 1: the module has a hook", "block 2: attn.probabilities has a hook")
    check(encoder, pixels(), plain)
    assert_same(*seen)  # compiled first, plain second; other blocks ran since


@pytest.mark.parametrize(
    ("path", "module", "reason"),
    [
        ("patch_embed.proj", nn.Conv2d(3, 32, 9, 8, 4), "patches: they overlap or leave gaps"),
        (
            "neck.2",
            nn.Conv2d(16, 16, 5, padding=2),
            "neck: a convolution of (5, 5) is not as published",
        ),
        ("neck.3", nn.Identity(), "neck: 3 is a Identity"),
        ("blocks.2.norm1", nn.Identity(), None),
        ("blocks.2.mlp.act", nn.GELU("tanh"), "block 2: mlp.act is an approximate GELU"),
        ("blocks.2.mlp.act", nn.ReLU(), "block 2: mlp.act is a ReLU"),
    ],
)
def test_a_part_with_other_settings_stays_plain(path, module, reason):
    encoder = small()
    random_weights(module)
    encoder.set_submodule(path, module)
    check(encoder, pixels(), (reason,) if reason else ())


class Doubled(ImageEncoderViT):
    """A subclass, which computes something else."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_an_encoder_of_another_kind_stands_for_itself():
    encoder = Doubled(img_size=16, embed_dim=8, depth=1, num_heads=1, out_chans=4)
    check(encoder, pixels(16), ("the encoder: is a Doubled",))


def test_other_precisions_are_left_to_the_plain_encoder():
    encoder = small()
    fast, double = compile_vit(encoder), compile_vit(copy.deepcopy(encoder).double())
    assert double.plain_blocks == ("the encoder: is not float32 on a CPU, or not all of it",)
    assert double(pixels().double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(fast(pixels()), encoder(pixels()))


def test_the_encoder_is_only_read_and_what_is_trained_later_is_not_seen():
    encoder = small()
    before = copy.deepcopy(encoder.state_dict())
    fast = compile_vit(encoder)
    expected = fast(pixels())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    with torch.no_grad():
        for value in encoder.parameters():
            value.zero_()
    assert torch.equal(fast(pixels()), expected)


def test_threads_share_it():
    fast = compile_vit(small())
    pictures = [pixels(side) for side in (48, 64, 80, 96)]
    expected = [fast(picture) for picture in pictures]
    found: dict[int, list[torch.Tensor]] = {}

    def encode(index: int) -> None:
        found[index] = [fast(pictures[index]) for _ in range(3)]

    threads = [threading.Thread(target=encode, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, embeddings in found.items():
        assert all(torch.equal(embedding, expected[index]) for embedding in embeddings)
    assert len(found) == 4


@pytest.mark.parametrize("shape", [(1, 3, 60, 60), (1, 3, 64, 32), (3, 64, 64)])
def test_sides_that_do_not_fit_are_refused_as_by_the_plain_encoder(shape):
    with pytest.raises(ShapeError) as plain:
        small()(torch.zeros(shape))
    with pytest.raises(ShapeError) as fast:
        compile_vit(small())(torch.zeros(shape))
    assert str(fast.value) == str(plain.value)


@pytest.mark.slow
def test_the_shapes_of_vit_b_give_the_plain_answer():
    """Two blocks of it, a windowed and a global one, on a quarter of the usual tokens."""
    encoder = small(
        img_size=512, patch_size=16, embed_dim=768, depth=2, num_heads=12, out_chans=256,
        window_size=14, global_attn_indexes=(1,),
    )  # fmt: skip
    with torch.no_grad():
        assert_same(compile_vit(encoder)(pixels(512)), encoder(pixels(512)), within=3e-5)
