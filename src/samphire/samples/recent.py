"""Arrays that were read last, kept in memory up to a number of bytes.

Not for files (``cache.py``), nor for anything that cannot be read again.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy.typing as npt

Arrays = tuple[npt.NDArray[Any], ...]


class Recent:
    """The least recently used go first; the newest stays, whatever its size.

    Threads may share it: two that ask for the same at once may both read it.

    Args:
        max_bytes: that are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Arrays]) -> Arrays:
        """What is kept under a key, or else what ``read`` gives, which is kept then."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        arrays = read()
        with self._lock:
            self._kept[key] = arrays
            while len(self._kept) > 1 and self._bytes() > self._max_bytes:
                self._kept.popitem(last=False)
        return arrays

    def _bytes(self) -> int:
        return sum(array.nbytes for arrays in self._kept.values() for array in arrays)
