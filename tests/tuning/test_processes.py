"""Processes that ``torchrun`` starts; two of them, training as one, are in ``test_loop.py``."""

import pytest
import torch

from samphire.tuning import processes


@pytest.fixture
def joined(monkeypatch):
    """What the second of two processes, on a machine with GPUs or without, asks of torch."""
    asked = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "set_device", asked.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", asked.append)
    return asked


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_each_process_has_a_gpu_of_its_own_before_they_join(device, joined, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert processes.start(device) == "cuda:1"
    assert joined == [1, "nccl"]


@pytest.mark.parametrize(("device", "gpus"), [("auto", False), ("cpu", True)])
def test_processes_without_gpus_join_over_the_network(device, gpus, joined, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    assert processes.start(device) == device
    assert joined == ["gloo"]


def test_a_process_alone_joins_nobody(joined, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE")
    assert processes.start("auto") == "auto"
    assert joined == []
