"""Layer normalisation over the channels of a picture-shaped tensor.

Source: segment-anything ``modeling/common.py``, after ConvNeXt.
"""

import torch
from torch import nn


class LayerNorm2d(nn.Module):
    """Normalise each pixel of (B, C, H, W) over its C channels; 1e-6 everywhere in SAM."""

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        centred = x - x.mean(1, keepdim=True)
        variance = centred.pow(2).mean(1, keepdim=True)
        normalised = centred / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * normalised + self.bias[:, None, None]
