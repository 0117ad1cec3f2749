"""Adapters: small bottlenecks inside the encoder's blocks, after attention and beside the MLP.

    A(x) = W_up GELU(W_down x + b) + b',   W_up and b' zero at the start
    after attention: h + A(h);   beside the MLP: MLP(n) + 0.5 A(n)

The placements are those of Medical-SAM-Adapter's code in two dimensions (its third adapter works
on depth). Its paper draws the same; its initialisation, which is not the identity, is not
followed. Source: Wu et al. 2023 (Medical SAM Adapter), section 3; Chen et al. 2022 (AdaptFormer),
section 3, for the branch beside the MLP.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from samphire.adapters.inject import Plan
from samphire.adapters.sites import check_blocks, linear_at, mlp_paths, transformer_blocks
from samphire.errors import AdapterError
from samphire.model.sam import Sam
from samphire.model.tiny_attention import Mlp


@dataclass(frozen=True)
class Bottleneck:
    """Settings of the method.

    Attributes:
        ratio: hidden channels by channels of a token.
        scale: of the branch beside the MLP.
        blocks: of the encoder, ``all`` or ``last:k``.
    """

    ratio: float = 0.25
    scale: float = 0.5
    blocks: str = "all"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)
        if not (0 < self.ratio <= 4 and 0 < self.scale < math.inf):
            raise AdapterError(
                f"ratio {self.ratio}, scale {self.scale}: expected a ratio up to 4, both above 0, "
                "and finite"
            )

    def plan(self, sam: Sam) -> Plan:
        """Two adapters in each block that has attention."""
        modules: dict[str, nn.Module] = {}
        for path in transformer_blocks(sam, self.blocks):
            width = linear_at(sam, mlp_paths(sam, path)[0]).in_features
            hidden = max(1, int(width * self.ratio))
            modules[f"{path}.attn"] = AfterAttention(width, hidden)
            modules[f"{path}.mlp"] = BesideMlp(width, hidden, self.scale)
        return Plan(modules)


class Adapter(nn.Module):
    """Narrow, activate, widen; gives zeros at the start."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.up = nn.Linear(hidden, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., width)."""
        widened: torch.Tensor = self.up(nn.functional.gelu(self.down(x)))
        return widened


class AfterAttention(nn.Module):
    """What attention gives, and an adapter's view of it; before the residual is added.

    Attributes:
        base: the attention; set where the module is put in its place.
    """

    base: nn.Module

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.adapter = Adapter(width, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (..., width) -> (..., width)."""
        attended = self.base(x)
        adapted: torch.Tensor = attended + self.adapter(attended)
        return adapted


class BesideMlp(nn.Module):
    """An MLP and an adapter that sees the same normalised tokens.

    Attributes:
        base: the MLP; set where the module is put in its place. TinyViT's normalises inside.
    """

    base: nn.Module

    def __init__(self, width: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.adapter = Adapter(width, hidden)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (..., width) -> (..., width)."""
        normed = self.base.norm(x) if isinstance(self.base, Mlp) else x
        mixed: torch.Tensor = self.base(x) + self.scale * self.adapter(normed)
        return mixed
