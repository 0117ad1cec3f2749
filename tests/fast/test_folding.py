"""Folding is algebra: in float64 nothing but rounding is left."""

import pytest
import torch
from conftest import random_weights
from torch import nn
from torch.nn import functional

from samphire.fast.folding import fold_batch_norm, fold_layer_norm

EXACT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_with_its_batch_norm(bias, groups):
    pair = nn.Sequential(nn.Conv2d(8, 12, 3, groups=groups, bias=bias), nn.BatchNorm2d(12))
    random_weights(pair.double().eval())
    x = torch.randn(2, 8, 6, 5, dtype=torch.float64)
    weight, shift = fold_batch_norm(*pair)
    found = functional.conv2d(x, weight, shift, groups=groups)
    torch.testing.assert_close(found, pair(x).detach(), **EXACT)


@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_norm_with_the_linear_map_after_it(bias):
    pair = nn.Sequential(nn.LayerNorm(8, eps=1e-3), nn.Linear(8, 5, bias=bias))
    random_weights(pair.double())
    x = torch.randn(3, 8, dtype=torch.float64)
    weight, shift = fold_layer_norm(*pair)
    found = functional.linear(functional.layer_norm(x, (8,), eps=1e-3), weight, shift)
    torch.testing.assert_close(found, pair(x).detach(), **EXACT)


def test_a_token_of_padding_is_the_folded_bias():
    pair = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5))
    random_weights(pair.double())
    _, shift = fold_layer_norm(*pair)
    torch.testing.assert_close(shift, pair(torch.zeros(8, dtype=torch.float64)).detach(), **EXACT)


def test_a_batch_norm_without_statistics_is_refused():
    with pytest.raises(ValueError, match="running statistics"):
        fold_batch_norm(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
