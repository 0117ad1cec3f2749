"""One block of the ViT encoder, on the tokens of one picture and in place.

Packed linears, GELU inside the first of an MLP, attention in tiles (``vit_attention.py``), and
nothing larger than the queries, keys and values of a picture. Source: ``model/image_encoder.py``.

A windowed block treats a strip of windows from the first norm to the last residual before it goes
to the next: what belongs to 14 rows of 64 tokens stays in the cache, but for the weights.

Tokens that fill up the last windows
    The plain block fills up *after* the first norm. Such a token is the zero vector, so its query,
    key and value are exactly the bias of the qkv projection: they are keys for the real queries of
    their window, with relative positions as all others. So only real tokens are projected, and the
    bias is written where the others would be. (TinyViT fills up before the norm: not the same.)
"""

import copy
import math

import torch
from torch import nn

from samphire.fast import packed
from samphire.fast.recognise import strangers
from samphire.fast.vit_attention import attend_everywhere, attend_in_windows, distance_tables
from samphire.fast.workspace import Workspace
from samphire.model.image_encoder import Attention, Block
from samphire.model.two_way_transformer import MLPBlock

KNOWN = {Block, Attention, MLPBlock, nn.LayerNorm, nn.Linear, nn.GELU, nn.Identity}

# Tokens that go through linears at once: their hidden activations are 13 MB in ViT-B.
ROWS = 1024


def why_plain(block: nn.Module) -> list[str]:
    """What keeps a block on the plain path, in words; empty if nothing does."""
    approximate = [
        f"{name} is an approximate GELU"
        for name, part in block.named_modules()
        if isinstance(part, nn.GELU) and part.approximate != "none"
    ]
    return strangers(block, KNOWN) + approximate


class FastBlock:
    """A block compiled; everything is copied.

    Args:
        block: for which :func:`why_plain` has no reason.
    """

    def __init__(self, block: Block) -> None:
        self.norm1, self.norm2 = copy.deepcopy(block.norm1), copy.deepcopy(block.norm2)
        self.qkv = _linear(block.attn.qkv)
        self.proj = _linear(block.attn.proj)
        self.lin1 = _linear(block.mlp.lin1, gelu=True)
        self.lin2 = _linear(block.mlp.lin2)
        self.heads, self.window = block.attn.num_heads, block.window_size
        self.positions = (
            (block.attn.rel_pos_h.detach().clone(), block.attn.rel_pos_w.detach().clone())
            if block.attn.use_rel_pos
            else None
        )

    def __call__(self, x: torch.Tensor, workspace: Workspace) -> None:
        """Tokens of a square grid, row by row, (G * G, C); changed in place."""
        if self.window:
            self._by_windows(x, workspace)
        else:
            self._globally(x, workspace)

    def _tables(self, side: int) -> torch.Tensor | None:
        """Made in each call, for any side: they are small."""
        return None if self.positions is None else distance_tables(self.positions, side)

    def _globally(self, x: torch.Tensor, workspace: Workspace) -> None:
        count, width = x.shape
        tables = self._tables(math.isqrt(count))
        qkv = workspace.buffer("qkv", 3, self.heads, count, width // self.heads)
        for start in range(0, count, ROWS):
            rows = slice(start, start + ROWS)
            projected = self.qkv(self.norm1(x[rows])).unflatten(1, (3, self.heads, -1))
            qkv[:, :, rows] = projected.permute(1, 2, 0, 3)
        attended = workspace.buffer("attended", count, width)
        attend_everywhere(qkv, tables, attended, workspace)
        for start in range(0, count, ROWS):
            rows = slice(start, start + ROWS)
            self._finish(x[rows], attended[rows])

    def _by_windows(self, x: torch.Tensor, workspace: Workspace) -> None:
        """A strip of windows after the other; they know nothing of each other."""
        side, grid, width = self.window, math.isqrt(len(x)), x.shape[1]
        tables = self._tables(side)
        across = -(-grid // side)
        split = (across, self.heads, side, side, width // self.heads)
        strip = workspace.buffer("strip", side, across * side, 3 * width)
        qkv = workspace.buffer("qkv", 3, *split)
        attended = workspace.buffer("attended", *split)
        for top in range(0, grid, side):
            rows = min(side, grid - top)
            tokens = x[top * grid : (top + rows) * grid]
            strip[:rows, :grid] = self.qkv(self.norm1(tokens)).unflatten(0, (rows, grid))
            self._fill_up(strip, rows, grid)
            windows = strip.unflatten(1, (across, side)).unflatten(3, (3, self.heads, -1))
            qkv.copy_(windows.permute(3, 1, 4, 0, 2, 5))
            attend_in_windows(
                qkv.flatten(1, 2).flatten(2, 3),
                tables,
                attended.flatten(0, 1).flatten(1, 2),
                workspace,
            )
            joined = attended.permute(2, 0, 3, 1, 4)[:rows].flatten(3).flatten(1, 2)
            self._finish(tokens, joined[:, :grid].reshape(-1, width))

    def _fill_up(self, strip: torch.Tensor, rows: int, columns: int) -> None:
        filling = 0.0 if self.qkv.bias is None else self.qkv.bias
        strip[rows:] = filling
        strip[:, columns:] = filling

    def _finish(self, tokens: torch.Tensor, attended: torch.Tensor) -> None:
        """What follows attention, each token alone; (N, C), ``tokens`` changed in place."""
        tokens += self.proj(attended)
        tokens += self.lin2(self.lin1(self.norm2(tokens)))


def _linear(linear: nn.Linear, *, gelu: bool = False) -> packed.Linear:
    return packed.Linear(linear.weight, linear.bias, rows=ROWS, gelu=gelu)
