"""Sizes and frames: the only place where coordinates change.

Three frames, all with x to the right and y down, in pixels:

- original: the picture as the user has it; every public coordinate is in this frame;
- input: the square that the image encoder sees, the picture resized into its top left corner;
- low resolution: the square of mask logits that the decoder gives, four cells a grid cell.

Not for pixels: ``images/preprocessing.py`` makes the input, ``predict/upscale.py`` the masks.
Source: segment-anything ``utils/transforms.py`` and ``Sam.postprocess_masks``.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from samphire.arrays import FloatArray

OutputStep = Literal["resize_to_input", "crop_to_resized", "resize_to_original"]
Averaged = Literal["logits", "probabilities"]


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
        output_steps: how logits become original pixels, in order, each resize bilinear.
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


@lru_cache(maxsize=4)
def resize_weights(frame: Frame) -> tuple[FloatArray, FloatArray]:
    """How low-resolution logits become original pixels, one matrix an axis.

    Every step of the published upscaling (two bilinear resizes and a crop) is linear and treats
    rows and columns apart, so all of them together are two matrices:
    ``original = rows @ low_res @ columns.T``. No row has more than four weights that are not zero,
    none is negative, and each sums to one. What they average, the frame says (``averaged``).

    Returns:
        rows (H, S) and columns (W, S), float32, read-only; S is ``low_res_side``.

    Source: ``Sam.postprocess_masks``; ``torch.nn.functional.interpolate(mode="bilinear",
    align_corners=False)`` for one axis, with its float32 coordinates.
    """
    return (
        _axis_weights(frame, frame.resized.height, frame.original.height),
        _axis_weights(frame, frame.resized.width, frame.original.width),
    )


def _axis_weights(frame: Frame, resized: int, original: int) -> FloatArray:
    weights: FloatArray = np.eye(frame.low_res_side, dtype=np.float32)
    for step in frame.output_steps:
        if step == "resize_to_input":
            weights = _bilinear(weights, frame.input_side)
        elif step == "crop_to_resized":
            weights = weights[:resized]
        else:
            weights = _bilinear(weights, original)
    weights.flags.writeable = False
    return weights


def _bilinear(rows: FloatArray, length: int) -> FloatArray:
    """Resize the first axis to ``length``; pixel centres, edges repeated, no antialias."""
    scale = np.float32(len(rows)) / np.float32(length)
    centres = (np.arange(length, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    source = np.maximum(centres, np.float32(0))
    before = source.astype(np.intp)
    after = np.minimum(before + 1, len(rows) - 1)
    share = (source - before.astype(np.float32))[:, None]
    resized: FloatArray = rows[before] * (1 - share) + rows[after] * share
    return resized


def coverage_weights(frame: Frame) -> tuple[FloatArray, FloatArray]:
    """How much of each low-resolution cell every original pixel covers, one matrix an axis.

    ``low_res = rows @ mask @ columns.T`` is the area resize of a mask into the padded square:
    a cell in the padding gets 0. Pixels lie where the picture was resized to, whatever scale
    prompts move by.

    Returns:
        rows (S, H) and columns (S, W), float32.
    """
    cell = frame.input_side / frame.low_res_side
    original, resized = frame.original, frame.resized
    tall, wide = original.height / resized.height, original.width / resized.width
    return (
        _axis_coverage(frame.low_res_side, cell * tall, original.height),
        _axis_coverage(frame.low_res_side, cell * wide, original.width),
    )


def _axis_coverage(cells: int, cell: float, pixels: int) -> FloatArray:
    """Overlap of cell i = [i * cell, (i + 1) * cell) with pixel j = [j, j + 1), over ``cell``."""
    start = np.arange(cells)[:, None] * cell
    pixel = np.arange(pixels)[None, :]
    overlap = np.minimum(start + cell, pixel + 1) - np.maximum(start, pixel)
    weights: FloatArray = (np.maximum(overlap, 0) / cell).astype(np.float32)
    return weights
