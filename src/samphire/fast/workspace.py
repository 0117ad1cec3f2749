"""Memory that is kept between calls.

A large tensor that is made anew in each call is returned to the system and faulted in again, page
by page, which can cost as much as the arithmetic on it. So a fast path borrows a workspace for a
call and writes into buffers of it (``out=``). Nothing process-wide is changed.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Workspace:
    """Buffers by name, of one type; what one call needs, and the next finds again."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self._buffers: dict[str, torch.Tensor] = {}
        self._dtype = dtype

    def buffer(self, name: str, *shape: int) -> torch.Tensor:
        """A contiguous tensor on the CPU that holds anything: what a call left there.

        The same name gives the same memory, so two that live at once need two names.
        """
        count = math.prod(shape)
        kept = self._buffers.get(name)
        if kept is None or len(kept) < count:
            # drop the small one before the larger one is made, so that both are never held
            self._buffers.pop(name, None)
            kept = self._buffers[name] = torch.empty(count, dtype=self._dtype)
        return kept[:count].view(shape)

    @property
    def nbytes(self) -> int:
        """Memory that is kept."""
        return sum(buffer.nbytes for buffer in self._buffers.values())


class Pool:
    """Workspaces for calls that may run at once; as many are kept as did, two at most."""

    KEPT = 2

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        self._free: list[Workspace] = []
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self) -> Iterator[Workspace]:
        """A workspace for one call."""
        with self._lock:
            workspace = self._free.pop() if self._free else Workspace(self._dtype)
        try:
            yield workspace
        finally:
            with self._lock:
                if len(self._free) < self.KEPT:
                    self._free.append(workspace)
