"""The array types that values carry, and how a value makes its arrays read-only.

Values are frozen dataclasses; a writable array inside one would be a hole in the ice.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]


def read_only(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The array as a contiguous, read-only one of this type; copied unless it already is one.

    >>> read_only([1, 2], np.float32).flags.writeable
    False
    """
    given = np.asarray(array)
    if given.dtype == dtype and given.flags.c_contiguous and not given.flags.writeable:
        return given
    made = np.array(given, dtype=dtype, order="C", copy=True)
    made.flags.writeable = False
    return made


def same_array(left: npt.NDArray[Any] | None, right: npt.NDArray[Any] | None) -> bool:
    """Equal shape, type and values; NaN equals NaN; None equals only None."""
    if left is None or right is None:
        return left is right
    return left.dtype == right.dtype and np.array_equal(
        left, right, equal_nan=np.issubdtype(left.dtype, np.floating)
    )
