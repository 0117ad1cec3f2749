"""Sizes and frames: the only place where coordinates change.

Three frames, all with x to the right and y down, in pixels:

- original: the picture as the user has it; every public coordinate is in this frame;
- input: the square that the image encoder sees, the picture resized into its top left corner;
- low resolution: the square of mask logits that the decoder gives, four cells a grid cell.

Not for pixels: ``images/preprocessing.py`` makes the input, ``predict/upscale.py`` the masks.
Source: segment-anything ``utils/transforms.py`` and ``Sam.postprocess_masks``.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray, FloatArray, IntArray

OutputStep = Literal["resize_to_input", "crop_to_resized", "resize_to_original"]
Averaged = Literal["logits", "probabilities"]

# Pixels of one axis whose weights are made together: few enough that they share few cells, and that
# their products are too small for BLAS to wake threads (with 256, on a busy machine: 10 x slower).
BAND = 64


@dataclass(frozen=True)
class Size:
    """Height and width in whole pixels.

    >>> str(Size(height=800, width=1200))
    '1200x800'
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(
                f"size {self.width}x{self.height} has an empty side: expected at least 1x1"
            )

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Frame:
    """How one picture lies in the model's input and in its low-resolution output.

    Made by ``Preprocessing.frame``, which knows the rules of each model.

    Attributes:
        original: size of the picture.
        resized: size of the picture inside the input square, at its top left.
        scale: input pixels per original pixel, x and y, for prompts.
        input_side: side of the input square (SAM: 1024).
        low_res_side: side of the square of logits (SAM: 256).
        output_steps: how logits become original pixels, in order, each resize bilinear; the last
            one is ``resize_to_original``.
        whole_boxes: corners of boxes are cut to whole input pixels, toward 0.
        averaged: what those resizes average: the logits, or the probabilities they stand for.
    """

    original: Size
    resized: Size
    scale: tuple[float, float]
    input_side: int
    low_res_side: int
    output_steps: tuple[OutputStep, ...]
    whole_boxes: bool = False
    averaged: Averaged = "logits"

    def __post_init__(self) -> None:
        if max(self.resized.height, self.resized.width) > self.input_side:
            raise ValueError(
                f"a picture resized to {self.resized} does not fit the model's input: expected at "
                f"most {self.input_side}x{self.input_side}"
            )

    def to_input(self, points: npt.ArrayLike) -> FloatArray:
        """Points (..., 2) or boxes (..., 4) from the original to the input frame, float64.

        >>> half = Frame(Size(600, 900), Size(300, 450), (0.5, 0.5), 450, 112, (), whole_boxes=True)
        >>> half.to_input([[15.0, 25.0]]).tolist()
        [[7.5, 12.5]]
        >>> half.to_input([[15.0, 25.0, 35.0, 46.0]]).tolist()
        [[7.0, 12.0, 17.0, 23.0]]
        """
        scaled = self._scaled(points, np.array(self.scale))
        return np.trunc(scaled) if self.whole_boxes and scaled.shape[-1] == 4 else scaled

    def to_original(self, points: npt.ArrayLike) -> FloatArray:
        """Points (..., 2) or boxes (..., 4) from the input to the original frame, float64.

        A box that was cut to whole pixels stays so.
        """
        return self._scaled(points, 1 / np.array(self.scale))

    @staticmethod
    def _scaled(points: npt.ArrayLike, factors: FloatArray) -> FloatArray:
        given: FloatArray = np.asarray(points, np.float64)
        scaled: FloatArray = given * np.tile(factors, given.shape[-1] // 2)
        return scaled


@dataclass(frozen=True, eq=False)
class Band:
    """Some pixels of one axis of the original, and the low-resolution cells they belong with.

    Attributes:
        pixels: at most ``BAND`` neighbours.
        cells: every cell that has to do with one of them.
        weights: (pixels, cells) float32; towards all other cells they are 0.
    """

    pixels: slice
    cells: slice
    weights: FloatArray


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """What :func:`resize_weights` says of one axis: a matrix (pixels, S), given in bands.

    Attributes:
        source: (L, S) float32, read-only: what the last resize reads, made of cells.
        length: pixels of the original.
    """

    source: FloatArray
    length: int

    def bands(self, start: int, stop: int) -> list[Band]:
        """The weights of the pixels from ``start`` up to ``stop``, in order."""
        return [self._band(first, min(first + BAND, stop)) for first in range(start, stop, BAND)]

    def span(self, cells: BoolArray) -> tuple[int, int]:
        """First and one past the last pixel that a cell which is on has a weight in.

        (0, 0) if there is none. Pixels between two such cells count, whatever they are made of.
        """
        where = np.flatnonzero(self.source @ cells.astype(np.float32))
        if not len(where):
            return (0, 0)
        pixels, length = range(self.length), len(self.source)
        start = bisect_right(pixels, where[0] - 1, key=lambda i: _position(i, length, self.length))
        stop = bisect_left(pixels, where[-1] + 1, key=lambda i: _position(i, length, self.length))
        return (start, stop) if start < stop else (0, 0)

    def _band(self, start: int, stop: int) -> Band:
        before, after, share = _neighbours(np.arange(start, stop), len(self.source), self.length)
        read = self.source[before[0] : after[-1] + 1]
        used = np.flatnonzero(read.any(axis=0))
        cells = slice(int(used[0]), int(used[-1]) + 1)
        weights = _mix(read[:, cells], before - before[0], after - before[0], share)
        return Band(slice(start, stop), cells, weights)


@lru_cache(maxsize=4)
def resize_weights(frame: Frame) -> tuple[AxisWeights, AxisWeights]:
    """How low-resolution logits become original pixels, one matrix an axis.

    Every step of the published upscaling (two bilinear resizes and a crop) is linear and treats
    rows and columns apart, so all of them together are two matrices:
    ``original = rows @ low_res @ columns.T``. No row has more than four weights that are not zero,
    none is negative, and each sums to one. What they average, the frame says (``averaged``).

    The matrices (H, S) and (W, S), S the ``low_res_side``, are never made whole: a picture of
    1 x 1,000,000 pixels, 3 MB, would need 1 GB. Neighbouring pixels share their cells, so a band
    of them is a small matrix, made when it is asked for.

    Returns:
        rows and columns.

    Source: ``Sam.postprocess_masks``; ``torch.nn.functional.interpolate(mode="bilinear",
    align_corners=False)`` for one axis, with its float32 coordinates.
    """
    return (
        _axis_weights(frame, frame.resized.height, frame.original.height),
        _axis_weights(frame, frame.resized.width, frame.original.width),
    )


def _axis_weights(frame: Frame, resized: int, original: int) -> AxisWeights:
    weights: FloatArray = np.eye(frame.low_res_side, dtype=np.float32)
    *steps, _ = frame.output_steps
    for step in steps:
        weights = weights[:resized] if step == "crop_to_resized" else _bilinear(weights, frame)
    weights.flags.writeable = False
    return AxisWeights(weights, original)


def _bilinear(rows: FloatArray, frame: Frame) -> FloatArray:
    """Resize the first axis to the input square."""
    side = frame.input_side
    return _mix(rows, *_neighbours(np.arange(side), len(rows), side))


def _position(pixel: int | IntArray, length: int, resized: int) -> FloatArray:
    """Where pixels of an axis resized from ``length`` lie on it; pixel centres, float32."""
    scale = np.float32(length) / np.float32(resized)
    centre = (np.asarray(pixel, np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    position: FloatArray = np.maximum(centre, np.float32(0))
    return position


def _neighbours(
    pixels: IntArray, length: int, resized: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """The two that each pixel lies between, edges repeated, and the share of the second."""
    position = _position(pixels, length, resized)
    before = position.astype(np.intp)
    return before, np.minimum(before + 1, length - 1), position - before.astype(np.float32)


def _mix(rows: FloatArray, before: IntArray, after: IntArray, share: FloatArray) -> FloatArray:
    second = share[:, None]
    mixed: FloatArray = rows[before] * (1 - second) + rows[after] * second
    return mixed


def coverage_weights(frame: Frame) -> tuple[list[Band], list[Band]]:
    """How much of each low-resolution cell every original pixel covers, one matrix an axis.

    ``low_res = rows.T @ mask @ columns`` is the area resize of a mask into the padded square:
    a cell in the padding gets 0. Pixels lie where the picture was resized to, whatever scale
    prompts move by. As in :func:`resize_weights` the matrices come in bands.

    Returns:
        all bands of the rows and of the columns.
    """
    cell = frame.input_side / frame.low_res_side
    original, resized = frame.original, frame.resized
    tall, wide = original.height / resized.height, original.width / resized.width
    return (
        _axis_coverage(frame.low_res_side, cell * tall, original.height),
        _axis_coverage(frame.low_res_side, cell * wide, original.width),
    )


def _axis_coverage(cells: int, cell: float, pixels: int) -> list[Band]:
    """Overlap of pixel j = [j, j + 1) with cell i = [i * cell, (i + 1) * cell), over ``cell``."""
    bands = []
    for first in range(0, pixels, BAND):
        stop = min(first + BAND, pixels)
        near = slice(int(first / cell), min(math.ceil(stop / cell), cells))
        start = np.arange(near.start, near.stop) * cell
        pixel = np.arange(first, stop)[:, None]
        overlap = np.minimum(start + cell, pixel + 1) - np.maximum(start, pixel)
        weights = (np.maximum(overlap, 0) / cell).astype(np.float32)
        bands.append(Band(slice(first, stop), near, weights))
    return bands
