"""Safetensors whose bytes follow from their content: the same notes and tensors, the same file.

The library writes its notes in an order that changes from call to call, and a file's hash with it.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import safetensors.numpy

# The header is filled up with spaces to a multiple of this, so that tensors are aligned.
ALIGNMENT = 8


def safetensors_bytes(tensors: Mapping[str, npt.NDArray[Any]], notes: Mapping[str, str]) -> bytes:
    """A safetensors file.

    Args:
        tensors: contiguous arrays by name.
        notes: its metadata; written in the order of their names.
    """
    data = safetensors.numpy.save(dict(tensors), dict(notes))
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(notes.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
