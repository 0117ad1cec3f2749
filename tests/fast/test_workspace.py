"""Workspaces: the same memory again, and never the same for two calls at once."""

import torch

from samphire.fast.workspace import Pool, Workspace


def test_the_same_name_gives_the_same_memory_in_any_shape_that_fits():
    workspace = Workspace()
    first = workspace.buffer("scores", 4, 6)
    assert first.shape == (4, 6)
    assert first.is_contiguous()
    assert workspace.buffer("scores", 3, 5).data_ptr() == first.data_ptr()
    assert workspace.buffer("values", 4, 6).data_ptr() != first.data_ptr()
    assert workspace.nbytes == 2 * 24 * 4


def test_a_larger_buffer_replaces_the_smaller_one():
    workspace = Workspace()
    workspace.buffer("scores", 10)
    assert workspace.buffer("scores", 30).shape == (30,)
    assert workspace.nbytes == 30 * 4


def test_a_workspace_may_be_of_another_type():
    with Pool(torch.float64).borrow() as workspace:
        assert workspace.buffer("scores", 5).dtype is torch.float64
        assert workspace.nbytes == 5 * 8


def test_calls_at_once_have_workspaces_of_their_own_and_two_are_kept():
    pool = Pool()
    with pool.borrow() as one, pool.borrow() as two, pool.borrow() as three:
        assert len({id(one), id(two), id(three)}) == 3
    with pool.borrow() as again, pool.borrow() as other, pool.borrow() as new:
        assert {id(again), id(other)} == {id(two), id(three)}
        assert new not in (one, two, three)
