"""Fast sibling of TinyViT's transformer block (``model/tiny_attention.py``).

A picture is (H, W, C), its tokens in raster order. Attention goes by rows of windows, so that
tokens, projections and scores of a row stay in cache; the rest goes by strips of rows.
"""

import torch
from torch import nn
from torch.nn import functional

from samphire.fast.folding import fold_layer_norm
from samphire.fast.packed import Linear
from samphire.fast.recognise import misfits
from samphire.fast.tiny_convolutions import (
    STRIP,
    Rows,
    conv_norm_parts,
    odd_convolutions,
    strips,
)
from samphire.fast.workspace import Workspace
from samphire.model.tiny_attention import Attention, Mlp, TinyViTBlock
from samphire.model.tiny_convolutions import DropPath


class FastBlock:
    """Sibling of ``TinyViTBlock``.

    Args:
        block: without misfits, see :func:`block_misfits`.
    """

    def __init__(self, block: TinyViTBlock) -> None:
        attention, mlp = block.attn, block.mlp
        width = block.input_resolution[1]
        self._dim = attention.qkv.in_features
        self._window, self._heads = block.window_size, attention.num_heads
        weight, bias = fold_layer_norm(attention.norm, attention.qkv)
        rows = self._window * width
        self._qkv, self._padding = Linear(weight, bias, rows=rows), bias.clone()
        self._project = Linear(attention.proj.weight, attention.proj.bias, rows=rows)
        with torch.inference_mode():
            biases = attention.attention_biases[:, attention.attention_bias_idxs]
        self._biases, self._scale = biases[None], attention.scale  # (1, heads, N, N)
        self._epsilons = attention.norm.eps, mlp.norm.eps

        self._local = Rows(block.local_conv, gelu=False)
        self._hidden = mlp.fc1.out_features
        weight, bias = fold_layer_norm(mlp.norm, mlp.fc1)
        self._widen = Linear(weight, bias, rows=STRIP // self._hidden, gelu=True)
        self._narrow = Linear(mlp.fc2.weight, mlp.fc2.bias, rows=STRIP // self._hidden)

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of what comes out of a picture of this size."""
        return height, width, self._dim

    def __call__(self, x: torch.Tensor, out: torch.Tensor, workspace: Workspace) -> None:
        """(H, W, C) -> ``out``, the same shape, another tensor; ``x`` is used up."""
        for top in range(0, len(x), self._window):
            self._attend(x[top : top + self._window], workspace)
        for start, stop in strips(len(x), self._hidden * x.shape[1]):
            top, bottom = self._local.seen(start, stop, len(x))
            mixed = self._local(x[top:bottom], start, stop)
            hidden = self._widen(functional.layer_norm(mixed, (self._dim,), eps=self._epsilons[1]))
            torch.add(mixed, self._narrow(hidden), out=out[start:stop])

    def _attend(self, rows: torch.Tensor, workspace: Workspace) -> None:
        """Add to the tokens of a row of windows, (r, W, C), what they attend to.

        Only the last row of windows may have less than a window's rows. Tokens of padding are
        neither projected before (they are all the same, see :func:`fold_layer_norm`) nor after.
        """
        width, dim = rows.shape[1:]
        side, count = self._window, -(-width // self._window)
        projected = self._qkv(functional.layer_norm(rows, (dim,), eps=self._epsilons[0]))
        windows = workspace.buffer("windows", count, side, side, 3 * dim)
        windows[:, len(rows) :] = self._padding
        windows[-1, :, width - side * (count - 1) :] = self._padding
        for cells, places in _overlap(projected, windows):
            places.copy_(cells)
        per_head = windows.view(count, side * side, self._heads, 3, -1)  # q, k, v of each head
        q, k, v = per_head.permute(3, 0, 2, 1, 4)  # (n, heads, N, d)
        attended = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=self._biases, scale=self._scale
        )
        joined = workspace.buffer("joined", *rows.shape)
        for cells, places in _overlap(
            joined, attended.transpose(1, 2).view(count, side, side, dim)
        ):
            cells.copy_(places)
        rows.add_(self._project(joined))


def _overlap(rows: torch.Tensor, windows: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Views of the same cells in a row of windows: in raster order, and by windows.

    Args:
        rows: (r, W, C), r at most the side of a window.
        windows: (n, side, side, C), the last of which may reach beyond W.
    """
    height, width, _ = rows.shape
    side = windows.shape[1]
    whole = width // side
    pairs = []
    if whole:
        cells = rows[:, : whole * side].unflatten(1, (whole, side))  # (r, n, side, C)
        pairs.append((cells, windows[:whole, :height].transpose(0, 1)))
    if width % side:
        pairs.append((rows[:, whole * side :], windows[whole, :height, : width % side]))
    return pairs


_BLOCK = {
    "": TinyViTBlock,
    "attn": Attention,
    "attn.norm": nn.LayerNorm,
    "attn.qkv": nn.Linear,
    "attn.proj": nn.Linear,
    "attn.probabilities": nn.Identity,
    "drop_path": DropPath,
    **conv_norm_parts("local_conv"),
    "mlp": Mlp,
    "mlp.norm": nn.LayerNorm,
    "mlp.fc1": nn.Linear,
    "mlp.act": nn.GELU,
    "mlp.fc2": nn.Linear,
    "mlp.drop": nn.Dropout,
}


def block_misfits(block: nn.Module) -> list[str]:
    """Why :class:`FastBlock` may not stand for it, in words."""
    found = misfits(block, _BLOCK) or odd_convolutions(block)
    if not found and isinstance(block, TinyViTBlock):
        attention = block.attn
        if attention.value_dim != attention.key_dim:
            found.append("attn has values of another width than keys")
        if block.local_conv.c.stride != (1, 1):
            found.append("local_conv has a stride")
    return found
