"""A ViT and a TinyViT small enough to train in a test."""

import pytest
import torch
from adapted import random_pixels, toy

from samphire.model.sam import Sam


@pytest.fixture(params=["tiny", "vit"])
def sam(request: pytest.FixtureRequest) -> Sam:
    return toy(request.param)


@pytest.fixture
def pixels() -> torch.Tensor:
    return random_pixels()
