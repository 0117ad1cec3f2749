"""The two ids of a set of weights: what embeddings and adapters are bound to.

Not the hash of a file: two files that hold the same tensors (in another order, with other notes)
have the same ids. A file that the catalogue lists takes the ids of its entry instead.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

ENCODER_PREFIX = "image_encoder."


def encoder_id(tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Identity of the image encoder: embeddings belong to it.

    Args:
        tensors: a whole state dict; only the names that start with ``image_encoder.`` count, and
            they are hashed with that prefix.

    Returns:
        SHA-256, 64 hexadecimal digits.

    Raises:
        ValueError: no name starts with ``image_encoder.``.
    """
    encoder = {name: array for name, array in tensors.items() if name.startswith(ENCODER_PREFIX)}
    if not encoder:
        raise ValueError(f"none of {len(tensors)} names starts with {ENCODER_PREFIX!r}")
    return base_id(encoder)


def base_id(tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Identity of all weights: adapters belong to it.

    SHA-256 over the tensors in order of name: name, dtype, shape, then the contiguous
    little-endian bytes. The head of each tensor is one line of text, so that no two sets of
    tensors can run together into the same bytes.

    >>> one = {"a": np.zeros(2, np.float32)}
    >>> base_id(one) == base_id({"a": np.zeros(2, np.float32)})
    True
    >>> base_id(one) == base_id({"a": np.zeros((2, 1), np.float32)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        shape = ",".join(str(length) for length in array.shape)
        digest.update(f"{len(name)}:{name} {array.dtype.name} ({shape})\n".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()
