"""Which intensities of a volume become black and white, as a record that a file can keep.

A window is two values (Hounsfield units for CT), or two percentiles of the volume where the unit
means nothing (MR, ultrasound). The scaling itself is in ``images/intensity.py``.

Source: MedSAM's ``utils/pre_CT_MR.py`` and its paper's table: CT windows as width/level (soft
tissue 400/40, lung 1500/-160, brain 80/40), everything else the percentiles 0.5 to 99.5 of the
voxels that are not 0.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.errors import ImageError
from samphire.images.intensity import check_window

# Voxels that percentiles are taken of, evenly spread: a copy of 64 MB of float32.
_LOOKED_AT = 1 << 24
_PERCENTILE = "percentile:"


@dataclass(frozen=True)
class Window:
    """Black and white of a volume.

    ``parse_window(str(window)) == window``: the text is what files keep.

    Attributes:
        low: becomes black; an intensity in the file's unit, or a percentile.
        high: becomes white; above ``low``.
        percentile: both are percentiles, 0 to 100, of the volume's finite voxels that are not 0.
            Zeros are left out because they are the air around a head, or padding: how much of it
            there is would move the window.

    Raises:
        ImageError: not finite, not in order, or percentiles outside 0 to 100.
    """

    low: float
    high: float
    percentile: bool = False

    def __post_init__(self) -> None:
        low, high = check_window((self.low, self.high))
        if self.percentile and not (low >= 0 and high <= 100):
            raise ImageError(f"percentiles {low:g} to {high:g}: expected them between 0 and 100")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def __str__(self) -> str:
        low, high = (repr(end).removesuffix(".0") for end in (self.low, self.high))
        return f"{_PERCENTILE}{low}-{high}" if self.percentile else f"{low},{high}"

    def ends(self, volume: npt.NDArray[Any]) -> tuple[float, float]:
        """The intensities that become black and white in this volume.

        Args:
            volume: the whole volume, never a slice: slices of one volume share their greys.

        Returns:
            low <= high; equal, of a volume with one value: it is black, and so is one of zeros.

        >>> PERCENTILES.ends(np.concatenate([np.zeros(500), np.arange(1.0, 202.0)]))
        (2.0, 200.0)
        """
        if not self.percentile:
            return self.low, self.high
        flat = volume.ravel(order="K")  # as it lies in memory: no copy
        values = flat[:: -(-flat.size // _LOOKED_AT) or 1]
        counted = values[np.isfinite(values) & (values != 0)]
        if not counted.size:
            return 0.0, 0.0
        low, high = np.percentile(counted, (self.low, self.high))
        return float(low), float(high)


def fixed_ends(text: str) -> tuple[float, float] | None:
    """The ends of a window in words, if they are the same in every picture; else None.

    Percentiles are not: they are taken of a whole volume, and a single picture of it has others.

    >>> fixed_ends("-160,240"), fixed_ends("percentile:0.5-99.5"), fixed_ends("")
    ((-160.0, 240.0), None, None)
    """
    window = parse_window(text) if text else None
    return None if window is None or window.percentile else (window.low, window.high)


PERCENTILES = Window(0.5, 99.5, percentile=True)
WINDOWS = {
    "ct-soft-tissue": Window(-160, 240),
    "ct-lung": Window(-910, 590),
    "ct-brain": Window(0, 80),
    "percentile": PERCENTILES,
}


def parse_window(text: str) -> Window:
    """A window from its name, its percentiles or its ends.

    Args:
        text: a key of ``WINDOWS``, ``percentile:LOW-HIGH``, or ``LOW,HIGH``.

    Raises:
        ImageError: it is none of these.

    >>> parse_window("ct-soft-tissue") == parse_window("-160,240")
    True
    >>> str(parse_window("percentile"))
    'percentile:0.5-99.5'
    """
    if text in WINDOWS:
        return WINDOWS[text]
    percentile = text.startswith(_PERCENTILE)
    # a minus between percentiles, but not that of 1e-05
    ends = (
        re.split("(?<=[^eE])-", text.removeprefix(_PERCENTILE)) if percentile else text.split(",")
    )
    try:
        low, high = (float(end) for end in ends)
    except ValueError as error:
        raise ImageError(
            f"the window {text!r} is not known: expected {', '.join(WINDOWS)}, "
            "percentile:LOW-HIGH or LOW,HIGH"
        ) from error
    return Window(low, high, percentile=percentile)
