"""The decoder's upscaling and the masks in it, without the upscaled embedding.

A transposed convolution of 2x2 with stride 2 has no overlap: each cell becomes four of its own, a
linear map of the cell. So cells are rows, both convolutions are linear maps with their GELU in the
same pass, and a mask is one small product more. All of it is done for some rows of the picture at a
time, which stay in the processor's cache; the upscaled embedding (8 MB an object) never exists.
Plain sibling: ``output_upscaling`` in ``model/mask_decoder.py``. Source: Kirillov et al. 2023,
appendix A.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from samphire.fast.packed import Linear
from samphire.model.layer_norm import LayerNorm2d

# Cells of the image embedding at a time. Fewer calls pay more than a tile that fits a small cache:
# with 512 a click takes 5 % longer.
TILE = 2048

LAYERS = (nn.ConvTranspose2d, LayerNorm2d, nn.GELU, nn.ConvTranspose2d, nn.GELU)


class Upscaling:
    """The two transposed convolutions, compiled.

    Args:
        upscaling: as :func:`upscaling_strangers` finds it in order; its weights are copied.
    """

    def __init__(self, upscaling: nn.Sequential) -> None:
        first, norm, second = _parts(upscaling)
        self._first = Linear(*_as_linear(first), rows=TILE)
        self._second = Linear(*_as_linear(second), rows=4 * TILE, gelu=True)
        self._norm = (norm.weight.detach().clone(), norm.bias.detach().clone(), norm.eps)

    def masks(
        self, image: torch.Tensor, side: int, classifiers: torch.Tensor, out: torch.Tensor
    ) -> None:
        """Masks of one object.

        Args:
            image: (G * G, C), after the transformer.
            side: G.
            classifiers: (M, C / 8), from the hypernetworks.
            out: (M, 4G, 4G) contiguous; the logits are written into it.
        """
        weight, bias, eps = self._norm
        count, channels = classifiers.shape
        # Cell (y, x) becomes row 4y + 2i + k and column 4x + 2j + l. The two l lie side by side
        # before and after: as one complex number each they are moved ten times as fast.
        placed = torch.view_as_complex(out.view(count, side, 2, 2, side, 2, 2))  # m, y, i, k, x, j
        rows = max(1, TILE // side)
        for start in range(0, side, rows):
            stop = min(start + rows, side)
            cells = self._first(image[start * side : stop * side])  # (n, 4 * C / 4), by i, j
            cells = cells.view(-1, len(weight))
            cells = functional.gelu(functional.layer_norm(cells, weight.shape, weight, bias, eps))
            cells = self._second(cells).view(stop - start, -1, channels)  # y; x, i, j, k, l
            logits = classifiers.expand(stop - start, -1, -1) @ cells.mT
            pairs = torch.view_as_complex(logits.view(stop - start, count, side, 2, 2, 2, 2))
            placed[:, start:stop] = pairs.permute(1, 0, 3, 5, 2, 4)


def upscaling_strangers(upscaling: nn.Sequential) -> list[str]:
    """Why :class:`Upscaling` cannot stand for it, in words; empty if it can."""
    if tuple(type(layer) for layer in upscaling) != LAYERS:
        return ["output_upscaling has other layers than the published ones"]
    first, _, second = _parts(upscaling)
    found = [
        f"{name} of output_upscaling is not a 2x2 convolution with stride 2 and a bias"
        for name, layer in (("0", first), ("3", second))
        if (layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation)
        != ((2, 2), (2, 2), (0, 0), (0, 0), (1, 1))
        or layer.groups != 1
        or layer.bias is None
    ]
    if any(layer.approximate != "none" for layer in upscaling if isinstance(layer, nn.GELU)):
        found.append("a GELU of output_upscaling is approximate")
    return found


def _parts(
    upscaling: nn.Sequential,
) -> tuple[nn.ConvTranspose2d, LayerNorm2d, nn.ConvTranspose2d]:
    first, norm, _, second, _ = upscaling
    return cast("tuple[nn.ConvTranspose2d, LayerNorm2d, nn.ConvTranspose2d]", (first, norm, second))


def _as_linear(layer: nn.ConvTranspose2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (4 * out, in) and bias (4 * out,), by row and column of the 2x2 cells."""
    assert layer.bias is not None  # noqa: S101 - upscaling_strangers has looked
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return weight, layer.bias.repeat(4)
