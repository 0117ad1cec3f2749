"""Fast siblings of TinyViT's stem, bottleneck and merging (``model/tiny_convolutions.py``).

A picture is (H, W, C), channels last, so that its cells are the rows of a matrix: a 1 x 1
convolution is a linear map of them. Batch norms are folded in, the GELU rides on the product.

The first stage has 256 x 256 cells and 256 hidden channels: 67 MB, more than any cache holds, three
times written and read. So a picture goes through a chain of layers in strips of rows, all layers
for one strip before the next. A 3 x 3 convolution looks over the edge of its strip; the rows there
are computed twice.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from samphire.fast.folding import fold_batch_norm
from samphire.fast.packed import Convolution, Linear
from samphire.fast.recognise import misfits
from samphire.fast.workspace import Workspace
from samphire.model.tiny_convolutions import ConvNorm, DropPath, MBConv, PatchEmbed, PatchMerging

# Numbers in the widest layer of a strip, 4 MB of them for all cores together. On one core with 1 MB
# of cache the bottleneck takes 91 ms so, 81 with half as many and 91 again with a quarter, where as
# many rows are computed twice as cache misses are saved.
STRIP = 2**20


class Rows:
    """A convolution of square kernel, folded with its batch norm, for strips of rows.

    Args:
        module: with "same" padding, see :func:`odd_convolutions`.
        gelu: apply it.
    """

    def __init__(self, module: ConvNorm, *, gelu: bool) -> None:
        weight, bias = fold_batch_norm(module.c, module.bn)
        self.stride, self._reach = module.c.stride[0], module.c.kernel_size[0] // 2
        self._convolution = Convolution(
            weight,
            bias,
            (1, module.c.in_channels, 16, 256),
            stride=self.stride,
            padding=self._reach,
            groups=module.c.groups,
            gelu=gelu,
        )

    def seen(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """The rows of a picture of this height from which rows [start, stop) follow."""
        first = self.stride * (start - self._before(start))
        return first, min(height, self.stride * (stop - 1) + self._reach + 1)

    def __call__(self, strip: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """The rows that are :meth:`seen`, (h, W, C), -> rows [start, stop), (stop - start, W', C').

        The strip is padded with zeros all around. That is right at the edges of the picture; at
        other edges the outermost rows that come out are wrong, and left out.
        """
        grid = self._convolution(strip.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
        above = self._before(start)
        return grid[above : above + stop - start]

    def _before(self, start: int) -> int:
        """Rows above ``start`` that come out of the strip too, and wrong: they saw its padding."""
        return min(start, -(-self._reach // self.stride))


class FastStem:
    """Sibling of ``PatchEmbed``, by strips."""

    def __init__(self, module: PatchEmbed) -> None:
        first, last = (part for part in module.seq if isinstance(part, ConvNorm))
        self._first, self._last = Rows(first, gelu=True), Rows(last, gelu=False)
        self._hidden, self._dim = first.c.out_channels, last.c.out_channels

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of what comes out of a picture of this size."""
        stride = self._first.stride * self._last.stride
        return -(-height // stride), -(-width // stride), self._dim

    def __call__(self, x: torch.Tensor, out: torch.Tensor, _: Workspace) -> None:
        """Pixels (S, S, 3) -> ``out`` (H, W, C)."""
        side = -(-len(x) // self._first.stride)
        for start, stop in strips(len(out), self._hidden * side * self._last.stride):
            rows = self._last.seen(start, stop, side)
            top, bottom = self._first.seen(*rows, len(x))
            hidden = self._first(x[top:bottom].contiguous(), *rows)
            out[start:stop] = self._last(hidden, start, stop)


class FastBottleneck:
    """Sibling of ``MBConv`` and of ``PatchMerging``, which differ in the residual, by strips."""

    def __init__(self, module: MBConv | PatchMerging) -> None:
        self._hidden, self._dim = module.conv1.c.out_channels, module.conv3.c.out_channels
        self._residual = isinstance(module, MBConv)
        self._mix = Rows(module.conv2, gelu=True)
        rows = STRIP // self._hidden
        self._expand = _pointwise(module.conv1, rows=rows, gelu=True)
        self._project = _pointwise(module.conv3, rows=rows // self._mix.stride**2, gelu=False)

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of what comes out of a picture of this size."""
        return -(-height // self._mix.stride), -(-width // self._mix.stride), self._dim

    def __call__(self, x: torch.Tensor, out: torch.Tensor, _: Workspace) -> None:
        """(H, W, C) -> ``out`` (H', W', C'), another tensor."""
        for start, stop in strips(len(out), self._hidden * x.shape[1] * self._mix.stride):
            top, bottom = self._mix.seen(start, stop, len(x))
            branch = self._project(self._mix(self._expand(x[top:bottom]), start, stop))
            if self._residual:
                branch = functional.gelu(branch.add_(x[start:stop]))
            out[start:stop] = branch


def strips(height: int, row: int) -> Iterator[tuple[int, int]]:
    """First row and the one after the last of strips that cover a picture.

    Args:
        height: rows of the picture.
        row: numbers in what is computed for one row, in the widest layer.
    """
    step = max(1, STRIP // row)
    for start in range(0, height, step):
        yield start, min(start + step, height)


def _pointwise(module: ConvNorm, *, rows: int, gelu: bool) -> Linear:
    weight, bias = fold_batch_norm(module.c, module.bn)
    return Linear(weight.flatten(1), bias, rows=rows, gelu=gelu)


def conv_norm_parts(name: str) -> dict[str, type[nn.Module]]:
    """What is in a ``ConvNorm`` of this name."""
    return {name: ConvNorm, f"{name}.c": nn.Conv2d, f"{name}.bn": nn.BatchNorm2d}


Parts = dict[str, type[nn.Module]]

_STEM: Parts = {
    "": PatchEmbed,
    "seq": nn.Sequential,
    **conv_norm_parts("seq.0"),
    "seq.1": nn.GELU,
    **conv_norm_parts("seq.2"),
}
_THREE: Parts = {
    **conv_norm_parts("conv1"),
    **conv_norm_parts("conv2"),
    **conv_norm_parts("conv3"),
}
_ACTIVATIONS: Parts = {"act1": nn.GELU, "act2": nn.GELU, "act3": nn.GELU}
_MBCONV: Parts = {"": MBConv, **_THREE, **_ACTIVATIONS, "drop_path": DropPath}
_MERGING: Parts = {"": PatchMerging, **_THREE, "act": nn.GELU}


def stem_misfits(module: nn.Module) -> list[str]:
    """Why :class:`FastStem` may not stand for it, in words."""
    return misfits(module, _STEM) or odd_convolutions(module)


def bottleneck_misfits(module: nn.Module) -> list[str]:
    """Why :class:`FastBottleneck` may not stand for it, in words."""
    found = misfits(module, _MERGING if type(module) is PatchMerging else _MBCONV)
    found = found or odd_convolutions(module)
    if not found and isinstance(module, MBConv | PatchMerging):
        ends = {"conv1": module.conv1.c, "conv3": module.conv3.c}
        for name, convolution in ends.items():
            if (convolution.kernel_size, convolution.groups) != ((1, 1), 1):
                found.append(f"{name} looks at more than a cell")
    return found


def odd_convolutions(module: nn.Module) -> list[str]:
    """Which convolutions inside a module are none that :class:`Rows` knows, in words."""
    found = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            side, stride = part.kernel_size[0], part.stride[0]
            same = (
                side % 2 == 1
                and part.kernel_size == (side, side)
                and part.padding == (side // 2, side // 2)
                and part.stride == (stride, stride)
                and part.dilation == (1, 1)
                and part.padding_mode == "zeros"
            )
            if not same:
                found.append(f"{name} is not a square convolution that keeps the picture's edge")
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is None:
            found.append(f"{name} has no running statistics")
    return found
