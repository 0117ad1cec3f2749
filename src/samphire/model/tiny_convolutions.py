"""The convolutions of TinyViT: stem, inverted bottleneck, merging of neighbours.

Not for attention (``tiny_attention.py``) or the order of stages (``tiny_encoder.py``).
Source: MobileSAM ``modeling/tiny_vit_sam.py``; Wu et al. 2022 (TinyViT), section 3.2.
"""

from collections.abc import Callable

import torch
from torch import nn

Activation = Callable[[], nn.Module]


class ConvNorm(nn.Sequential):
    """A convolution without bias, then batch normalisation; ``Conv2d_BN`` of the original.

    Args:
        a: channels in.
        b: channels out.
        ks: side of the kernel.
        stride: of the convolution.
        pad: zeros added on each side.
        dilation: of the kernel.
        groups: of channels; ``a`` makes it depthwise.
        bn_weight_init: initial scale; 0 silences a residual branch at the start of training.
    """

    def __init__(
        self,
        a: int,
        b: int,
        ks: int = 1,
        stride: int = 1,
        pad: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bn_weight_init: float = 1,
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(a, b, ks, stride, pad, dilation, groups, bias=False)
        self.bn = nn.BatchNorm2d(b)
        nn.init.constant_(self.bn.weight, bn_weight_init)


class DropPath(nn.Module):
    """In training, leave a residual branch out for some pictures of the batch.

    The others are scaled up, so that the expected output is the same. Source: Huang et al. 2016.

    Args:
        drop_prob: how often, 0 to 1.
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape (B, ...)."""
        if not self.training or self.drop_prob == 0:
            return x
        kept = 1 - self.drop_prob
        mask = x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(kept)
        return x * mask / kept


class PatchEmbed(nn.Module):
    """The stem: two convolutions of stride 2, so a cell is 4 x 4 pixels.

    Args:
        in_chans: of the picture.
        embed_dim: channels out.
        resolution: side of the picture, pixels.
        activation: between the two.
        cell: side of a cell, pixels: 4, or 1 for LiteMedSAM, whose stem looks at single pixels.
    """

    def __init__(
        self,
        in_chans: int,
        embed_dim: int,
        resolution: int,
        activation: Activation,
        *,
        cell: int = 4,
    ) -> None:
        super().__init__()
        self.patches_resolution = (resolution // cell, resolution // cell)
        kernel, stride, pad = (1, 1, 0) if cell == 1 else (3, 2, 1)
        self.seq = nn.Sequential(
            ConvNorm(in_chans, embed_dim // 2, kernel, stride, pad),
            activation(),
            ConvNorm(embed_dim // 2, embed_dim, kernel, stride, pad),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) -> (B, C, S / cell, S / cell)."""
        embedded: torch.Tensor = self.seq(x)
        return embedded


class MBConv(nn.Module):
    """Inverted bottleneck: widen by 1 x 1, mix 3 x 3 within channels, narrow, add.

    Args:
        in_chans: channels in.
        out_chans: channels out, equal to ``in_chans`` (there is a residual).
        expand_ratio: hidden channels by channels in.
        activation: after each convolution.
        drop_path: see :class:`DropPath`.
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        expand_ratio: float,
        activation: Activation,
        drop_path: float,
    ) -> None:
        super().__init__()
        hidden = int(in_chans * expand_ratio)
        self.conv1 = ConvNorm(in_chans, hidden)
        self.act1 = activation()
        self.conv2 = ConvNorm(hidden, hidden, 3, 1, 1, groups=hidden)
        self.act2 = activation()
        self.conv3 = ConvNorm(hidden, out_chans, bn_weight_init=0)
        self.act3 = activation()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        branch = self.act1(self.conv1(x))  # (B, 4C, H, W)
        branch = self.act2(self.conv2(branch))
        branch = self.drop_path(self.conv3(branch))  # (B, C, H, W)
        mixed: torch.Tensor = self.act3(x + branch)
        return mixed


class PatchMerging(nn.Module):
    """Between stages: more channels and, with stride 2, a quarter of the cells.

    Args:
        input_resolution: rows and columns of the grid that comes in.
        dim: channels in.
        out_dim: channels out.
        activation: between the convolutions.
        stride: 2; 1 before the last stage, where SAM needs the grid as it is. The original derives
            it from ``out_dim``.
    """

    def __init__(
        self,
        input_resolution: tuple[int, int],
        dim: int,
        out_dim: int,
        activation: Activation,
        stride: int = 2,
    ) -> None:
        super().__init__()
        self.input_resolution = input_resolution
        self.act = activation()
        self.conv1 = ConvNorm(dim, out_dim)
        self.conv2 = ConvNorm(out_dim, out_dim, 3, stride, 1, groups=out_dim)
        self.conv3 = ConvNorm(out_dim, out_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W), or tokens (B, H * W, C), -> tokens (B, H' * W', C')."""
        if x.ndim == 3:
            x = x.transpose(1, 2).unflatten(2, self.input_resolution)  # (B, C, H, W)
        x = self.act(self.conv1(x))  # (B, C', H, W)
        x = self.act(self.conv2(x))  # (B, C', H', W')
        x = self.conv3(x)
        return x.flatten(2).transpose(1, 2)  # (B, H' * W', C')
