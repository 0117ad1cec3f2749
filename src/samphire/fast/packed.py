"""Linear maps and convolutions whose weights are laid out once for the processor.

oneDNN multiplies faster if it may choose how a matrix lies in memory, and it can put the GELU that
follows into the same pass. torch offers both to its own compiler alone, as private operators: this
is the one file that calls them, it tries them once before it trusts them, and where they are
missing or wrong the public operators do the same work.
"""

import logging
import math
from functools import cache

import torch
from torch.nn import functional

logger = logging.getLogger(__name__)

# The largest difference of a packed operator to the public one that counts as rounding, relative.
ROUNDING = 1e-5


@cache
def can_pack() -> bool:
    """Whether the private operators are here and compute what they should."""
    if not torch.backends.mkldnn.is_available():
        return False
    draw = torch.Generator().manual_seed(0)
    rows, weight, bias, plane, kernel = (
        torch.randn(shape, generator=draw)
        for shape in ((5, 48), (24, 48), (24,), (1, 8, 9, 9), (8, 1, 3, 3))
    )
    try:
        with torch.inference_mode():
            linear = _packed_linear(rows, _pack_linear(weight, 5), bias, gelu=True)
            packed = _pack_convolution(kernel, (1, 1), (1, 1), 8, plane.shape)
            mixed = _packed_convolution(plane, packed, bias[:8], (1, 1), (1, 1), 8, gelu=True)
    except (AttributeError, RuntimeError) as error:  # it is gone, or takes other arguments
        logger.warning("linear maps run unpacked, some 20 %% slower: torch has changed: %s", error)
        return False
    expected = functional.gelu(functional.linear(rows, weight, bias))
    expected_mixed = functional.gelu(
        functional.conv2d(plane, kernel, bias[:8], padding=1, groups=8)
    )
    right = all(
        bool(torch.allclose(found, wanted, rtol=ROUNDING, atol=ROUNDING * math.sqrt(48)))
        for found, wanted in ((linear, expected), (mixed, expected_mixed))
    )
    if not right:
        logger.warning("linear maps run unpacked, some 20 %% slower: torch's operators differ")
    return right


class Linear:
    """``x @ weight.T + bias``, and the exact GELU of it where wanted; on a CPU.

    Args:
        weight: (out, in) float32, or another type, which is not packed; copied.
        bias: (out,) or None.
        rows: rows of ``x`` in a usual call, for the choice of layout; other numbers work, too.
        gelu: apply it.
    """

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, *, rows: int, gelu: bool = False
    ) -> None:
        self.bias = None if bias is None else bias.detach().clone()
        self.gelu = gelu
        self._packed = weight.dtype is torch.float32 and can_pack()
        weight = weight.detach().contiguous()
        with torch.inference_mode():
            self._weight = _pack_linear(weight, rows) if self._packed else weight.clone()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        if self._packed:
            return _packed_linear(x, self._weight, self.bias, gelu=self.gelu)
        y = functional.linear(x, self._weight, self.bias)
        return functional.gelu(y) if self.gelu else y


class Convolution:
    """A 2-D convolution, and the exact GELU of it where wanted; float32 on a CPU.

    Channels-last pictures come out channels-last.

    Args:
        weight: (out, in / groups, k, k) float32; copied.
        bias: (out,).
        size: (B, in, H, W) of a usual picture, for the choice of layout.
        stride: of both axes.
        padding: zeros on each side.
        groups: of channels.
        gelu: apply it.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor,
        size: tuple[int, int, int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        gelu: bool = False,
    ) -> None:
        self.bias, self.gelu, self._groups = bias.detach().clone(), gelu, groups
        self._stride, self._padding = (stride, stride), (padding, padding)
        self._packed = can_pack()
        weight = weight.detach().contiguous()
        with torch.inference_mode():
            self._weight = (
                _pack_convolution(weight, self._stride, self._padding, groups, size)
                if self._packed
                else weight.clone()
            )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, H, W) -> (B, out, H', W')."""
        weight, stride, padding, groups = self._weight, self._stride, self._padding, self._groups
        if self._packed:
            return _packed_convolution(
                x, weight, self.bias, stride, padding, groups, gelu=self.gelu
            )
        y = functional.conv2d(x, weight, self.bias, stride, padding, groups=groups)
        return functional.gelu(y) if self.gelu else y


def _pack_linear(weight: torch.Tensor, rows: int) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return packed


def _packed_linear(
    x: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool
) -> torch.Tensor:
    kind, how = ("gelu", "none") if gelu else ("none", "")  # "none": not the tanh approximation
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, kind, [], how)
    return y


def _pack_convolution(
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    groups: int,
    size: tuple[int, ...],
) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, padding, stride, (1, 1), groups, list(size)
    )
    return packed


def _packed_convolution(
    x: torch.Tensor,
    packed: torch.Tensor,
    bias: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    groups: int,
    *,
    gelu: bool,
) -> torch.Tensor:
    kind, how = ("gelu", "none") if gelu else ("none", "")
    y: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, packed, bias, padding, stride, (1, 1), groups, kind, [], how
    )
    return y
