"""LoRA: a low-rank update beside a frozen projection.

    y = W x + b + s B A x,   A (r, in) random, B (out, r) zero, s = alpha / r (or alpha / sqrt r)

B starts as zero, so the model starts as it was. In an encoder's attention the update falls on the
rows of the fused projection that make queries and values. Source: Hu et al. 2022 (LoRA), section
4; Kalajdzievski 2023 for the rank-stabilised scale; Zhang and Liu 2023 (SAMed) for its use in SAM.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from samphire.adapters.inject import Plan
from samphire.adapters.sites import check_blocks, linear_at, mlp_paths, qkv_rows, transformer_blocks
from samphire.errors import AdapterError
from samphire.model.sam import Sam
from samphire.model.two_way_transformer import Attention as DecoderAttention

TARGETS = ("q", "k", "v", "proj", "mlp", "decoder")
WHOLE = "all"  # the part that is every row of a projection


@dataclass(frozen=True)
class Lora:
    """Settings of the method.

    Attributes:
        rank: of each update.
        alpha: strength: the update is multiplied by it, and divided by the rank.
        targets: ``q``, ``k``, ``v`` of the encoder's attention, its output ``proj``, both layers of
            its ``mlp``; ``decoder``: queries and values of the decoder's attention.
        blocks: of the encoder, ``all`` or ``last:k``.
        rank_stabilised: divide alpha by the root of the rank.
    """

    rank: int = 8
    alpha: float = 8.0
    targets: tuple[str, ...] = ("q", "v")
    blocks: str = "all"
    rank_stabilised: bool = False

    def __post_init__(self) -> None:
        if not (self.rank >= 1 and 0 < self.alpha < math.inf):  # NaN, too, is refused
            raise AdapterError(
                f"rank {self.rank}, alpha {self.alpha}: expected both above 0, and finite"
            )
        check_blocks(self.blocks)
        if not self.targets or not set(self.targets) <= set(TARGETS):
            raise AdapterError(f"targets {self.targets}: expected some of {', '.join(TARGETS)}")

    @property
    def scale(self) -> float:
        """What the update is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    def plan(self, sam: Sam) -> Plan:
        """A :class:`LoraLinear` around each projection that is a target."""
        modules: dict[str, nn.Module] = {}
        in_encoder = set(self.targets) - {"decoder"}
        for block in transformer_blocks(sam, self.blocks) if in_encoder else []:
            attention = sam.get_submodule(f"{block}.attn")
            rows = {part: qkv_rows(attention, part) for part in "qkv" if part in self.targets}
            if rows:
                path = f"{block}.attn.qkv"
                modules[path] = self._wrapper(linear_at(sam, path), rows)
            whole = [f"{block}.attn.proj"] if "proj" in self.targets else []
            whole += mlp_paths(sam, block) if "mlp" in self.targets else ()
            modules |= {path: self._whole(linear_at(sam, path)) for path in whole}
        if "decoder" in self.targets:
            for path, part in sam.mask_decoder.named_modules(prefix="mask_decoder"):
                if isinstance(part, DecoderAttention):
                    modules[f"{path}.q_proj"] = self._whole(part.q_proj)
                    modules[f"{path}.v_proj"] = self._whole(part.v_proj)
        return Plan(modules)

    def _whole(self, linear: nn.Linear) -> "LoraLinear":
        return self._wrapper(linear, {WHOLE: torch.arange(linear.out_features)})

    def _wrapper(self, linear: nn.Linear, rows: Mapping[str, torch.Tensor]) -> "LoraLinear":
        return LoraLinear(linear.in_features, rows, rank=self.rank, scale=self.scale)


class LowRank(nn.Module):
    """``B A x``: zero at the start."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        """``scale B A x``: (..., inputs) -> (..., outputs)."""
        return x @ self.a.T @ (scale * self.b).T

    def product(self) -> torch.Tensor:
        """``B A``, (outputs, inputs) float64."""
        return self.b.detach().double() @ self.a.detach().double()


class LoraLinear(nn.Module):
    """A frozen projection with an update on some of its rows.

    Args:
        inputs: channels that come in.
        rows: part -> the rows of the projection that make it.
        rank: of each update.
        scale: of the updates.

    Attributes:
        base: the projection; set where the module is put in its place.
    """

    base: nn.Linear

    def __init__(
        self, inputs: int, rows: Mapping[str, torch.Tensor], *, rank: int, scale: float
    ) -> None:
        super().__init__()
        updates = {part: LowRank(inputs, len(places), rank) for part, places in rows.items()}
        self.updates = nn.ModuleDict(updates)
        self.scale = scale
        for part, places in rows.items():
            self.register_buffer(f"rows_{part}", places, persistent=False)

    def rows(self, part: str) -> torch.Tensor:
        """The rows that a part makes, int64."""
        places: torch.Tensor = self.get_buffer(f"rows_{part}")
        return places

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., inputs) -> (..., outputs of the projection)."""
        y: torch.Tensor = self.base(x)
        for part, update in self.updates.items():
            delta = update(x, self.scale).to(y.dtype)
            # of all rows it is a plain sum, whose gradient is not copied
            y = y + delta if part == WHOLE else y.index_add(-1, self.rows(part), delta)
        return y

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One projection that does the same; sums are in float64, rounded once."""
        weight = self.base.weight.double()
        for part, update in self.updates.items():
            assert isinstance(update, LowRank)  # noqa: S101 - ours; nn.ModuleDict forgets it
            weight.index_add_(0, self.rows(part), self.scale * update.product())
        linear = copy.deepcopy(self.base)
        linear.weight.copy_(weight)
        return linear
