"""Several processes as one: each runs its share of a batch, and all take the same step.

With ``torchrun`` there are as many as it starts, joined by gloo on CPUs and NCCL on GPUs; without,
this is one process and does nothing. Gradients are summed, not averaged over processes: each loss
is already divided by the whole batch, so two processes answer as one does.
"""

import os
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist

Item = TypeVar("Item")


def start(device: str) -> str:
    """Join the processes that ``torchrun`` has started, if it has.

    Args:
        device: as for ``samphire.load``.

    Returns:
        The device of this process: with several GPUs each has its own.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        return device
    on_gpu = device in {"auto", "cuda"} and torch.cuda.is_available()
    if on_gpu:  # also for what is only told: two processes on one GPU hang
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    return f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else device


def is_first() -> bool:
    """Whether this is the one that writes files."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait_for_all() -> None:
    """Go on when every process has come here: what one of them wrote, all find."""
    if dist.is_initialized():
        dist.barrier()


def mine(batch: Sequence[Item]) -> Sequence[Item]:
    """This process's share of a batch."""
    return batch[dist.get_rank() :: dist.get_world_size()] if dist.is_initialized() else batch


def join_gradients(parameters: Sequence[torch.nn.Parameter], loss: float) -> float:
    """Sum gradients and the loss over all processes.

    A parameter that got a gradient in one process gets one in all; one that got none anywhere
    has none, so that no weight decay touches it.

    Returns:
        The loss of the whole batch.
    """
    if not dist.is_initialized():
        return loss
    device = parameters[0].device
    has = [float(value.grad is not None) for value in parameters]
    told = torch.tensor([loss, *has], dtype=torch.float64, device=device)
    dist.all_reduce(told)
    for value, count in zip(parameters, told[1:].tolist(), strict=True):
        if count:
            if value.grad is None:
                value.grad = torch.zeros_like(value)
            dist.all_reduce(value.grad)
    return float(told[0])


def from_first(score: float) -> float:
    """What the first process says: a decision has to be the same in all."""
    if not dist.is_initialized():
        return score
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    told = torch.tensor([score], dtype=torch.float64, device=device)
    dist.broadcast(told, 0)
    return float(told)
