"""A ViT and a TinyViT small enough to train in a test."""

import functools

import pytest
import torch
from conftest import random_weights

from samphire.model.sam import Sam
from samphire.model.variants import tiny, vit


@functools.cache
def toy(name: str) -> Sam:
    """A model with fixed random weights, in eval mode; adapters never write to it."""
    sam = tiny() if name == "tiny" else vit(32, 2, 2, (1,), table_side=64)
    random_weights(sam)
    return sam.eval()


@pytest.fixture(params=["tiny", "vit"])
def sam(request: pytest.FixtureRequest) -> Sam:
    return toy(request.param)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
