"""Intensities deeper than 8 bits -> uint8: which value is black, which is white.

The only place where values are scaled; files, arrays and slices all pass here. Not for reading
files (``decode.py``). The rule looks at values and at float or integer, never at the file format:

- a window given by the caller: its ends are black and white, linear between, clipped;
- integers without a negative: 0 is black, ``2**bits - 1`` white, ``bits`` the fewest, at least 8,
  that hold the largest value (12-bit data in 16 bits: 4095). Nothing is stretched, and a value
  keeps its grey from picture to picture while the depth is the same;
- floats that lie within 0 and 1: 0 is black, 1 is white;
- everything else (negative values, other floats): the smallest value is black, the largest white.

NaN is black, and neither NaN nor infinity takes part in finding the smallest and the largest.

So a dim picture stays dim, and one bright pixel may leave the rest dark: a picture that comes out
nearly black is read all the same, with a warning that names a window to try.
"""

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.arrays import ByteArray
from samphire.errors import ImageError

logger = logging.getLogger(__name__)

Window = tuple[float, float]

# Values a block: what is held as float64 at a time (a few copies of 8 MB).
_BLOCK = 1 << 20
# Nearly black: 99 of 100 values are shown darker than this, of 255.
_DARK = 32
# Values looked at to tell it, evenly spread.
_LOOKED_AT = 1 << 18


def check_window(window: Window) -> Window:
    """The window as two floats, low before high.

    Raises:
        ImageError: not two finite numbers, or not in order.
    """
    try:
        low, high = (float(end) for end in window)
    except (TypeError, ValueError) as error:
        raise ImageError(f"the window is {window!r}: expected two numbers, LOW and HIGH") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ImageError(
            f"the window is {low:g} to {high:g}: expected two finite numbers, the lower, which "
            "becomes black, first"
        )
    return low, high


def to_bytes(values: npt.NDArray[Any], window: Window) -> ByteArray:
    """Values as greys: ``window[0]`` is 0, ``window[1]`` is 255, linear, rounded, clipped.

    Args:
        values: any shape with at least one axis; integers or floats.
        window: low < high; or equal, of a picture that is constant: all black.

    Returns:
        Of the same shape, uint8. NaN is 0.

    >>> to_bytes(np.array([-2000, -160, 40, 240, np.nan]), (-160, 240)).tolist()
    [0, 0, 128, 255, 0]
    """
    low, high = window
    half = high / 2 - low / 2  # halves, because high - low may overflow
    made = np.zeros(values.shape, np.uint8)
    if half <= 0:
        return made
    for rows, block in _blocks(values):
        clipped = np.clip(block, low, high)
        scaled = (clipped / 2 - low / 2) / half * 255
        np.nan_to_num(scaled, copy=False, nan=0.0)
        made[rows] = np.rint(scaled).astype(np.uint8)
    return made


def default_window(values: npt.NDArray[Any], name: str) -> Window:
    """Black and white where nobody chose them; the rule is at the top of this file.

    What was chosen is logged, and a picture that will be nearly black is warned of.

    Args:
        values: any shape; integers or floats; all channels of a colour picture together.
        name: of the picture, for the message.

    Raises:
        ImageError: no value is finite.

    >>> default_window(np.array([0, 7, 3000], np.uint16), "scan.png")
    (0.0, 4095.0)
    """
    low, high = math.inf, -math.inf
    for _, block in _blocks(values):
        finite = block[np.isfinite(block)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        raise ImageError(f"{name} holds no finite value (NaN, infinity): expected a picture")
    if low >= 0 and values.dtype.kind in "ui":
        low, high = 0.0, float(2 ** max(8, int(high).bit_length()) - 1)
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    logger.info("%s: %s values, %g shown black, %g white", name, values.dtype, low, high)
    _warn_if_dark(values, (low, high), name)
    return low, high


def _warn_if_dark(values: npt.NDArray[Any], window: Window, name: str) -> None:
    looked_at = values.ravel()[:: max(1, values.size // _LOOKED_AT)].astype(np.float64)
    finite = looked_at[np.isfinite(looked_at)]
    if not finite.size:
        return
    darkest, nearly_all = np.percentile(finite, (1, 99))
    if darkest < nearly_all and to_bytes(np.array([nearly_all]), window)[0] < _DARK:
        logger.warning(
            "%s will be nearly black: 99 of 100 values lie below %g, and %g is white; choose what "
            "is black and white, for example --window %.6g,%.6g (window= in Python)",
            *(name, nearly_all, window[1], darkest, nearly_all),
        )


def _blocks(values: npt.NDArray[Any]) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
    """Some rows at a time as float64, so that a large picture is never held as such."""
    rows = max(1, _BLOCK // max(1, math.prod(values.shape[1:])))
    for start in range(0, len(values), rows):
        part = slice(start, start + rows)
        yield part, values[part].astype(np.float64)
