"""Packed operators against the public ones, and what happens where they are missing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from samphire.fast import packed


@pytest.fixture(params=[True, False], ids=["packed", "public"])
def either(request, monkeypatch):
    if request.param and not packed.can_pack():
        pytest.skip("this build of torch has no packed operators")
    monkeypatch.setattr(packed, "can_pack", lambda: request.param)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_linear_is_the_public_one(either, gelu, with_bias):
    weight, bias = torch.randn(40, 24), torch.randn(40) if with_bias else None
    x = torch.randn(3, 7, 24)
    expected = functional.linear(x, weight, bias)
    with torch.inference_mode():
        found = packed.Linear(weight, bias, rows=21, gelu=gelu)(x)
    torch.testing.assert_close(found, functional.gelu(expected) if gelu else expected)


@given(rows=st.integers(1, 70), hint=st.integers(1, 4096), wide=st.integers(1, 40))
def test_the_rows_that_were_announced_are_only_a_hint(rows, hint, wide):
    weight, bias, x = torch.randn(17, wide), torch.randn(17), torch.randn(rows, wide)
    with torch.inference_mode():
        found = packed.Linear(weight, bias, rows=hint)(x)
    torch.testing.assert_close(found, functional.linear(x, weight, bias))


def test_float64_is_not_packed(either):
    weight, bias, x = (torch.randn(shape, dtype=torch.float64) for shape in ((4, 3), (4,), (5, 3)))
    with torch.inference_mode():
        found = packed.Linear(weight, bias, rows=5)(x)
    torch.testing.assert_close(found, functional.linear(x, weight, bias), atol=1e-14, rtol=0)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize(("groups", "stride"), [(1, 1), (8, 1), (8, 2)])
def test_convolution_is_the_public_one_and_keeps_the_layout(either, gelu, groups, stride):
    weight, bias = torch.randn(8, 8 // groups, 3, 3), torch.randn(8)
    x = torch.randn(1, 8, 12, 10).contiguous(memory_format=torch.channels_last)
    expected = functional.conv2d(x, weight, bias, stride, 1, groups=groups)
    layer = packed.Convolution(
        weight, bias, (1, 8, 12, 10), stride=stride, padding=1, groups=groups, gelu=gelu
    )
    with torch.inference_mode():
        found = layer(x)
    torch.testing.assert_close(found, functional.gelu(expected) if gelu else expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_weights_are_copied():
    weight, x = torch.randn(4, 4), torch.randn(2, 4)
    layer = packed.Linear(weight, None, rows=2)
    expected = functional.linear(x, weight)
    weight.zero_()
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), expected)


def test_an_operator_that_computes_something_else_is_not_trusted(monkeypatch, caplog):
    honest = packed._packed_linear
    monkeypatch.setattr(packed, "_packed_linear", lambda *a, **k: honest(*a, **k) + 1e-2)
    assert not packed.can_pack.__wrapped__()
    assert "torch's operators differ" in caplog.text


def test_without_the_operators_nothing_is_packed(monkeypatch, caplog):
    def missing(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr(packed, "_pack_linear", missing)
    assert not packed.can_pack.__wrapped__()
    assert "no such operator" in caplog.text
