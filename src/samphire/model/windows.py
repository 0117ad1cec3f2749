"""Cutting a grid of tokens into square windows, and joining them again.

Source: segment-anything ``modeling/image_encoder.py``, whose signatures these are.
"""

import torch
from torch.nn import functional


def window_partition(x: torch.Tensor, window_size: int) -> tuple[torch.Tensor, tuple[int, int]]:
    """Cut (B, H, W, C) into windows; zeros fill up below and right.

    Returns:
        windows (B * n, window_size, window_size, C), and the rows and columns after filling up.
    """
    _, height, width, _ = x.shape
    padded = functional.pad(x, (0, 0, 0, -width % window_size, 0, -height % window_size))
    split = padded.unflatten(1, (-1, window_size)).unflatten(3, (-1, window_size))
    windows: torch.Tensor = split.transpose(2, 3).flatten(0, 2)  # (B * n, side, side, C)
    return windows, (padded.shape[1], padded.shape[2])


def window_unpartition(
    windows: torch.Tensor, window_size: int, pad_hw: tuple[int, int], hw: tuple[int, int]
) -> torch.Tensor:
    """Undo :func:`window_partition`.

    Args:
        windows: (B * n, window_size, window_size, C).
        window_size: side of a window.
        pad_hw: rows and columns with the filling.
        hw: rows and columns without.

    Returns:
        (B, H, W, C).
    """
    down, across = pad_hw[0] // window_size, pad_hw[1] // window_size
    grid = windows.unflatten(0, (-1, down, across)).transpose(2, 3)  # (B, n, side, m, side, C)
    padded: torch.Tensor = grid.flatten(3, 4).flatten(1, 2)
    return padded[:, : hw[0], : hw[1]]
