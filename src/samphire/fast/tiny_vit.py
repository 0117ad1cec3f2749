"""The fast sibling of ``model/tiny_encoder.TinyViT``, for float32 on a CPU.

One layout throughout: a picture is (B, H, W, C), so tokens and grid are views of the same memory,
and two buffers are enough, which the blocks read and write in turn. What differs from the plain
path inside a block is told in ``tiny_convolutions.py`` and ``tiny_block.py``.

Measured with MobileSAM's weights on one core (processor time, least of 3, default allocator):
0.91 s against 2.05 s plain, so 2.25 times as fast; ONNX Runtime 1.18 s, OpenVINO in float32 1.04 s
on the published graph. Peak memory 92 MB above the loaded model, against 365 MB. Largest deviation
from the plain embedding on photographs 2.5e-6 on values up to 0.57; LiteMedSAM 3.1e-6 on 0.86.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import isqrt
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from samphire.errors import check_shape
from samphire.fast.packed import Convolution, Linear
from samphire.fast.recognise import misfits, oddities
from samphire.fast.tiny_block import FastBlock, block_misfits
from samphire.fast.tiny_convolutions import (
    FastBottleneck,
    FastStem,
    bottleneck_misfits,
    odd_convolutions,
    stem_misfits,
)
from samphire.fast.workspace import Pool, Workspace
from samphire.model.layer_norm import LayerNorm2d
from samphire.model.tiny_attention import TinyViTBlock
from samphire.model.tiny_convolutions import MBConv, PatchEmbed, PatchMerging
from samphire.model.tiny_encoder import Stage, TinyViT


def compile_tiny_vit(encoder: TinyViT) -> "FastTinyViT":
    """Copy the weights of an encoder, as they are now, into a form that runs faster.

    Args:
        encoder: in eval mode. A block that is not exactly the published one (another type, a hook,
            training mode, another dtype) stays as it is, and is called.
    """
    parts = [
        Plain(module, layout) if _reasons(module) else _SIBLINGS[type(module)][0](module)
        for _, module, layout in _blocks(encoder)
    ]
    return FastTinyViT(encoder.img_size, parts, plain_parts(encoder))


def plain_parts(encoder: TinyViT) -> tuple[str, ...]:
    """What :func:`compile_tiny_vit` leaves as it is and why, in words; compiles nothing."""
    found = ((name, _reasons(module)) for name, module, _ in _blocks(encoder))
    return tuple(f"{name}: {', '.join(reasons)}" for name, reasons in found if reasons)


class Part(Protocol):
    """A compiled block, for one picture."""

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of what comes out of a picture of this size."""

    def __call__(self, x: torch.Tensor, out: torch.Tensor, workspace: Workspace, /) -> None:
        """(H, W, C) -> ``out``, which is other memory; ``x`` may be used up."""


@dataclass(frozen=True, eq=False)
class Plain:
    """A block that is called as it is.

    Attributes:
        module: the block.
        layout: what it takes and gives: ``pictures`` (B, C, H, W), ``tokens`` (B, N, C) of a
            square picture, ``merging`` the first and then the second.
    """

    module: nn.Module
    layout: str

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (B, H', W', C')."""
        y: torch.Tensor = self.module(
            x.flatten(1, 2) if self.layout == "tokens" else x.permute(0, 3, 1, 2)
        )
        if self.layout == "pictures":
            return y.permute(0, 2, 3, 1)
        side = isqrt(y.shape[1])
        return y.reshape(len(y), side, side, -1)


class FastTinyViT:
    """``TinyViT`` in eval mode, for float32 on a CPU, without gradients.

    Args:
        img_size: side of the pictures, pixels.
        parts: from pixels to embedding.
        plain_blocks: see below.

    Attributes:
        plain_blocks: which blocks stay on the plain path, and why, in words.
    """

    def __init__(
        self, img_size: int, parts: Sequence[Part | Plain], plain_blocks: tuple[str, ...]
    ) -> None:
        self._img_size, self._parts, self._pool = img_size, parts, Pool()
        self.plain_blocks = plain_blocks

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, S, S), normalised and padded -> embedding (B, 256, G, G).

        Raises:
            ShapeError: the pixels are not ``img_size`` on a side.
        """
        check_shape(pixels, ("B", "C", self._img_size, self._img_size), "the encoder's input")
        # one by one, for their memory; a block of somebody else's may want to see them together
        batches = [pixels] if self.plain_blocks else pixels.split(1)
        with self._pool.borrow() as workspace:
            return torch.cat([self._embed(batch, workspace) for batch in batches])

    def _embed(self, pixels: torch.Tensor, workspace: Workspace) -> torch.Tensor:
        with torch.inference_mode():
            x = pixels.permute(0, 2, 3, 1)
            for number, part in enumerate(self._parts):
                x = _run(part, x, f"pictures {number % 2}", workspace)
        # copied outside inference mode, so that a decoder may be trained on it
        return x.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)


def _run(part: Part | Plain, x: torch.Tensor, name: str, workspace: Workspace) -> torch.Tensor:
    """(B, H, W, C) -> (B, H', W', C') in the buffer of this name, which must not hold ``x``."""
    if isinstance(part, Plain):
        y = part(x)
        return workspace.buffer(name, *y.shape).copy_(y)
    out = workspace.buffer(name, len(x), *part.shape(*x.shape[1:3]))
    for picture, target in zip(x, out, strict=True):
        part(picture, target, workspace)
    return out


def _blocks(encoder: TinyViT) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, module and layout (see :class:`Plain`) of what is compiled or called, in order."""
    if oddities(encoder, {TinyViT}):
        yield "the encoder", encoder, "pictures"
        return
    yield "patch_embed", encoder.patch_embed, "pictures"
    for number, stage in enumerate(encoder.layers):
        inside, across = ("tokens", "tokens") if number else ("pictures", "merging")
        if not isinstance(stage, Stage):
            continue  # as the plain encoder does
        if oddities(stage, {Stage}):
            yield f"layers.{number}", stage, across
            continue
        for place, block in enumerate(stage.blocks):
            yield f"layers.{number}.blocks.{place}", block, inside
        if stage.downsample is not None:
            yield f"layers.{number}.downsample", stage.downsample, across
    yield "neck", encoder.neck, "pictures"


class FastNeck:
    """Sibling of the neck: 1 x 1 and 3 x 3 convolution, each normalised over channels."""

    def __init__(self, neck: nn.Sequential) -> None:
        narrow, mix = (part for part in neck if isinstance(part, nn.Conv2d))
        self._norms = [part for part in deepcopy(neck) if isinstance(part, LayerNorm2d)]
        cells = 64 * 64
        self._narrow = Linear(narrow.weight.flatten(1), narrow.bias, rows=cells)
        bias = torch.zeros(mix.out_channels) if mix.bias is None else mix.bias
        size = (1, mix.in_channels, 64, 64)
        self._mix, self._dim = Convolution(mix.weight, bias, size, padding=1), mix.out_channels

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of what comes out of a picture of this size."""
        return height, width, self._dim

    def __call__(self, x: torch.Tensor, out: torch.Tensor, _: Workspace) -> None:
        """(H, W, C) -> ``out`` (H, W, 256)."""
        first, last = self._norms
        narrow = _normalise(self._narrow(x), first)
        out.copy_(_normalise(self._mix(narrow.permute(2, 0, 1)[None])[0].permute(1, 2, 0), last))


def _normalise(x: torch.Tensor, norm: LayerNorm2d) -> torch.Tensor:
    """``LayerNorm2d`` where channels lie last: there it is the usual layer norm."""
    return functional.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps)


def neck_misfits(module: nn.Module) -> list[str]:
    """Why :class:`FastNeck` may not stand for it, in words."""
    found = misfits(module, _NECK) or odd_convolutions(module)
    sides = [part.kernel_size[0] for part in module.children() if isinstance(part, nn.Conv2d)]
    return found if found or sides == [1, 3] else ["its convolutions are not 1 x 1 and 3 x 3"]


_NECK = {"": nn.Sequential, "0": nn.Conv2d, "1": LayerNorm2d, "2": nn.Conv2d, "3": LayerNorm2d}

# The sibling of each type, and what tells why it may not be taken.
_SIBLINGS: dict[type[nn.Module], tuple[Callable[[Any], Part], Callable[[nn.Module], list[str]]]] = {
    PatchEmbed: (FastStem, stem_misfits),
    MBConv: (FastBottleneck, bottleneck_misfits),
    PatchMerging: (FastBottleneck, bottleneck_misfits),
    TinyViTBlock: (FastBlock, block_misfits),
    nn.Sequential: (FastNeck, neck_misfits),
}


def _reasons(module: nn.Module) -> list[str]:
    """Why a block has no sibling, in words; empty if it has."""
    if type(module) not in _SIBLINGS:
        return oddities(module, {type(module)}) or [f"is a {type(module).__name__}"]
    return _SIBLINGS[type(module)][1](module)
