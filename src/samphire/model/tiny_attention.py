"""TinyViT's transformer block: attention inside windows, a local convolution, an MLP.

Where a token sits inside its window matters to attention through a learned bias for each offset
(|rows|, |columns|) between two tokens. The bias is indexed from its parameter in every forward, so
it trains and is never stale; the original keeps an expanded copy that ``eval()`` refreshes.
Source: MobileSAM ``modeling/tiny_vit_sam.py``; Wu et al. 2022 (TinyViT), section 3.2; the biases
are LeViT's (Graham et al. 2021, section 4.3).
"""

from collections.abc import Callable
from itertools import product

import torch
from torch import nn

from samphire.errors import ShapeError
from samphire.model.tiny_convolutions import ConvNorm, DropPath
from samphire.model.windows import window_partition, window_unpartition


class Mlp(nn.Module):
    """Normalise, widen, activate, narrow, each token alone."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int | None = None,
        out_features: int | None = None,
        act_layer: Callable[[], nn.Module] = nn.GELU,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = hidden_features or in_features
        self.norm = nn.LayerNorm(in_features)
        self.fc1 = nn.Linear(in_features, hidden)
        self.act = act_layer()
        self.fc2 = nn.Linear(hidden, out_features or in_features)
        self.drop = nn.Dropout(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, C) -> (B, N, C)."""
        hidden = self.drop(self.act(self.fc1(self.norm(x))))
        narrowed: torch.Tensor = self.drop(self.fc2(hidden))
        return narrowed


class Attention(nn.Module):
    """Attention among the tokens of one window, with a learned bias for each offset.

    The rows of ``qkv`` lie head by head: query, key and value of the first head, then of the
    second, and so on (a ViT has all queries first).

    Args:
        dim: channels of a token.
        key_dim: channels of a query or key, for each head.
        num_heads: of attention.
        attn_ratio: channels of a value by ``key_dim``.
        resolution: rows and columns of the window.
    """

    attention_bias_idxs: torch.Tensor

    def __init__(
        self,
        dim: int,
        key_dim: int,
        num_heads: int = 8,
        attn_ratio: float = 4,
        resolution: tuple[int, int] = (14, 14),
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = int(attn_ratio * key_dim)
        self.scale = key_dim**-0.5
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, num_heads * (2 * key_dim + self.value_dim))
        self.proj = nn.Linear(num_heads * self.value_dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, resolution[0] * resolution[1]))
        self.register_buffer("attention_bias_idxs", offset_index(resolution), persistent=False)
        self.probabilities = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Windows (B, N, C) -> (B, N, C); B counts windows of all pictures."""
        per_head = self.qkv(self.norm(x)).unflatten(2, (self.num_heads, -1))  # (B, N, heads, 3d)
        q, k, v = per_head.transpose(1, 2).split([self.key_dim, self.key_dim, self.value_dim], 3)
        biases = self.attention_biases[:, self.attention_bias_idxs]  # (heads, N, N)
        scores = (q @ k.transpose(2, 3)) * self.scale + biases  # (B, heads, N, N)
        probabilities = self.probabilities(scores.softmax(dim=3))
        gathered = (probabilities @ v).transpose(1, 2).flatten(2)  # (B, N, heads * d)
        projected: torch.Tensor = self.proj(gathered)
        return projected


class TinyViTBlock(nn.Module):
    """Windowed attention, depthwise convolution across windows, MLP; both with a residual.

    Args:
        dim: channels of a token.
        input_resolution: rows and columns of the grid.
        num_heads: of attention.
        window_size: side of a window, cells.
        mlp_ratio: hidden channels of the MLP by ``dim``.
        drop: dropout in the MLP.
        drop_path: see :class:`~samphire.model.tiny_convolutions.DropPath`.
        local_conv_size: side of the convolution's kernel.
    """

    def __init__(
        self,
        dim: int,
        input_resolution: tuple[int, int],
        num_heads: int,
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        drop: float = 0.0,
        drop_path: float = 0.0,
        local_conv_size: int = 3,
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        self.input_resolution = input_resolution
        self.window_size = window_size
        window = (window_size, window_size)
        self.attn = Attention(dim, dim // num_heads, num_heads, attn_ratio=1, resolution=window)
        self.drop_path = DropPath(drop_path)
        self.local_conv = ConvNorm(dim, dim, local_conv_size, 1, local_conv_size // 2, groups=dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), act_layer=activation, drop=drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H * W, C) -> (B, H * W, C).

        Raises:
            ShapeError: the tokens are not those of ``input_resolution``.
        """
        height, width = self.input_resolution
        if x.shape[1] != height * width:
            raise ShapeError(
                f"a stage got {x.shape[1]} tokens: expected {height} x {width}; TinyViT takes "
                "pictures of the one size it was built for"
            )
        # zeros fill the last windows up; they are attended to, as published
        windows, padded = window_partition(x.unflatten(1, (height, width)), self.window_size)
        attended = self.attn(windows.flatten(1, 2)).unflatten(1, windows.shape[1:3])
        joined = window_unpartition(attended, self.window_size, padded, (height, width))
        x = x + self.drop_path(joined.flatten(1, 2))
        grid = x.transpose(1, 2).unflatten(2, (height, width))  # (B, C, H, W)
        x = self.local_conv(grid).flatten(2).transpose(1, 2)  # (B, H * W, C)
        mixed: torch.Tensor = x + self.drop_path(self.mlp(x))
        return mixed


def offset_index(resolution: tuple[int, int]) -> torch.Tensor:
    """Which bias belongs to each pair of cells of a window, (N, N) int64.

    Offsets (|rows|, |columns|) are numbered in raster order, the order in which the first cell
    meets them.

    >>> offset_index((2, 2)).tolist()
    [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    """
    cells = torch.tensor(list(product(range(resolution[0]), range(resolution[1]))))  # (N, 2)
    offsets = (cells[:, None] - cells[None, :]).abs()  # (N, N, 2)
    return offsets[..., 0] * resolution[1] + offsets[..., 1]
