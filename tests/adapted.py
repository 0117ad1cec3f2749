"""What tests of tuning methods share: two toy models, an answer of theirs, a little training."""

import functools

import torch
from conftest import random_weights

from samphire.adapters import Adapted
from samphire.model.sam import Sam
from samphire.model.variants import tiny, vit


@functools.cache
def toy(name: str) -> Sam:
    """``tiny`` or ``vit`` with fixed random weights, in eval mode; adapters never write to it."""
    sam = tiny() if name == "tiny" else vit(32, 2, 2, (1,), table_side=64)
    random_weights(sam)
    return sam.eval()


def random_pixels() -> torch.Tensor:
    """Two pictures."""
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def answer(adapted: Adapted, pixels: torch.Tensor) -> list[torch.Tensor]:
    """Features of the pictures, of the first a box's masks and scores, and a class map."""
    features = adapted.module.encode(pixels)
    box = torch.tensor([[5.0, 6.0, 40.0, 30.0]], dtype=pixels.dtype)
    logits, scores = adapted.module.decode(features[:1], None, box, None, multimask_output=True)
    found = [features, logits, scores]
    return [*found, adapted.head(adapted.module, features[:1])] if adapted.head else found


def train(adapted: Adapted, pixels: torch.Tensor, steps: int = 2) -> None:
    """Steps with weight decay, which moves whatever the optimiser holds."""
    parameters = adapted.parameters()
    optimiser = torch.optim.AdamW(parameters.values(), lr=0.05, weight_decay=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(part.square().mean() for part in answer(adapted, pixels)).backward()
        optimiser.step()
