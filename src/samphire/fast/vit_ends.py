"""The two ends of the ViT encoder: patches into tokens, tokens into the embedding.

Both work on rows of channels: patches do not overlap, so their convolution is a linear map of what
lies in each; so is the neck's first; a norm over channels is one over rows. Only the neck's 3x3
convolution stays one, on channels-last pictures, which have the same rows in memory.
Source: ``model/image_encoder.py``, ``model/layer_norm.py``.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from samphire.fast import packed
from samphire.fast.recognise import strangers
from samphire.model.image_encoder import PatchEmbed
from samphire.model.layer_norm import LayerNorm2d


def why_plain_patches(patch_embed: nn.Module) -> list[str]:
    """What keeps the patch embedding on the plain path, in words; empty if nothing does."""
    found = strangers(patch_embed, {PatchEmbed, nn.Conv2d})
    for part in patch_embed.children():
        if isinstance(part, nn.Conv2d) and not _is_like(part, part.kernel_size, part.kernel_size):
            found.append("they overlap or leave gaps")
    return found


def why_plain_neck(neck: nn.Module) -> list[str]:
    """What keeps the neck on the plain path, in words; empty if nothing does."""
    found = strangers(neck, {nn.Sequential, nn.Conv2d, LayerNorm2d})
    parts = list(neck.children())
    if not found and [type(part) for part in parts] != 2 * [nn.Conv2d, LayerNorm2d]:
        found.append("its parts come in another order")
    convolutions = [part for part in parts if isinstance(part, nn.Conv2d)]
    for part, size, padding in zip(convolutions, ((1, 1), (3, 3)), (0, 1), strict=False):
        if not _is_like(part, size, padding=padding):
            found.append(f"a convolution of {part.kernel_size} is not as published")
    return found


class FastPatches:
    """Patches as a linear map of the pixels in each.

    Args:
        patch_embed: for which :func:`why_plain_patches` has no reason.
        rows: patches in a usual picture.
    """

    def __init__(self, patch_embed: PatchEmbed, *, rows: int) -> None:
        proj = patch_embed.proj
        self._size = proj.kernel_size
        self._linear = packed.Linear(proj.weight.flatten(1), proj.bias, rows=rows)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) -> (B, G, G, C)."""
        high, wide = self._size
        patches = pixels.unflatten(3, (-1, wide)).unflatten(2, (-1, high))  # (B, 3, G, p, G, p)
        return self._linear(patches.permute(0, 2, 4, 1, 3, 5).flatten(3))


class FastNeck:
    """Two convolutions, each followed by a norm over channels.

    Args:
        neck: for which :func:`why_plain_neck` has no reason.
        grid: side of the grid of tokens in a usual picture.
    """

    def __init__(self, neck: nn.Sequential, *, grid: int) -> None:
        first, norm1, second, norm2 = cast(
            "tuple[nn.Conv2d, LayerNorm2d, nn.Conv2d, LayerNorm2d]", tuple(neck)
        )
        self._linear = packed.Linear(first.weight.flatten(1), first.bias, rows=grid * grid)
        bias = second.weight.new_zeros(len(second.weight)) if second.bias is None else second.bias
        size = (1, second.in_channels, grid, grid)
        self._convolution = packed.Convolution(second.weight, bias, size, padding=1)
        self._norms = [
            (norm.weight.detach().clone(), norm.bias.detach().clone(), norm.eps)
            for norm in (norm1, norm2)
        ]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, G, G), channels-last -> (B, out_chans, G, G), contiguous."""
        rows = self._normalise(self._linear(x.permute(0, 2, 3, 1)), 0)  # (B, G, G, out_chans)
        rows = self._convolution(rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self._normalise(rows, 1).permute(0, 3, 1, 2).contiguous()

    def _normalise(self, rows: torch.Tensor, which: int) -> torch.Tensor:
        weight, bias, eps = self._norms[which]
        return functional.layer_norm(rows, weight.shape, weight, bias, eps)


def _is_like(
    convolution: nn.Conv2d,
    size: tuple[int, ...],
    stride: tuple[int, ...] = (1, 1),
    *,
    padding: int = 0,
) -> bool:
    """Whether a convolution has these settings, and the usual others."""
    return (
        convolution.kernel_size == size
        and convolution.stride == stride
        and convolution.padding == (padding, padding)
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
        and convolution.padding_mode == "zeros"
    )
