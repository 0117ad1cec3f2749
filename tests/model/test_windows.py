"""Windows: cut where they should be, joined without a trace."""

import pytest
import torch

from samphire.model.windows import window_partition, window_unpartition


def test_windows_are_cut_and_joined_in_place():
    grid = torch.arange(2 * 5 * 7 * 3.0).reshape(2, 5, 7, 3)
    windows, padded = window_partition(grid, 3)
    assert padded == (6, 9)
    assert windows.shape == (2 * 2 * 3, 3, 3, 3)
    assert torch.equal(windows[1, 0], grid[0, 0, 3:6])  # second window, first row
    last = windows[5]  # bottom right of picture 0: one column, two rows
    assert torch.equal(last[:2, 0], grid[0, 3:, 6])
    assert not last[:, 1:].any()
    assert not last[2].any()
    assert torch.equal(window_unpartition(windows, 3, padded, (5, 7)), grid)


@pytest.mark.parametrize("side", [1, 2, 4, 7, 9])
def test_joining_undoes_cutting_for_any_side(side):
    grid = torch.rand(3, 8, 6, 2)
    windows, padded = window_partition(grid, side)
    assert len(windows) == 3 * (padded[0] // side) * (padded[1] // side)
    assert torch.equal(window_unpartition(windows, side, padded, (8, 6)), grid)
