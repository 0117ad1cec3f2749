"""Two modules as one linear map: what a normalisation does may be done by its neighbour's weights.

Exact algebra, in the dtype of what comes in. Not for choosing where to fold: ``recognise.py`` and
the file of each fast path know which modules follow each other.
"""

import torch
from torch import nn
from torch.nn import functional


def fold_batch_norm(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (out, in / groups, k, k) and bias (out,) of a convolution with its norm in eval mode.

    ``(conv(x) - mean) / sqrt(var + eps) * gain + shift`` is linear in ``x``: with
    ``s = gain / sqrt(var + eps)`` it is a convolution by ``s * weight``, and ``shift - s * mean``
    is its bias.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics: expected one in eval mode")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    mean = norm.running_mean if convolution.bias is None else norm.running_mean - convolution.bias
    weight = convolution.weight * scale[:, None, None, None]
    return weight.detach(), (norm.bias - scale * mean).detach()


def fold_layer_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (out, in) and bias (out,) of a linear map on what is normalised, but not yet scaled.

    ``W (gain * x + shift) + b = (W * gain) x + (W shift + b)``. A token of zeros stays zeros when
    it is normalised, so the folded bias is also what becomes of a token of padding.
    """
    weight = linear.weight * norm.weight
    return weight.detach(), functional.linear(norm.bias, linear.weight, linear.bias).detach()
