"""How a picture becomes a model's input: one record a model, nothing special-cased elsewhere.

Not for reading files (``read.py``) or the kernels (``resize.py``). Sources: segment-anything
``utils/transforms.py`` (``ResizeLongestSide``) and ``Sam.preprocess``, and MobileSAM, which uses
the same; MedSAM ``MedSAM_Inference.py``; the branch LiteMedSAM, ``CVPR24_LiteMedSAM_infer.py``.
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import ByteArray, FloatArray
from samphire.errors import check_shape
from samphire.geometry import Averaged, Frame, OutputStep, Size
from samphire.images.resize import Kernel, resize


@dataclass(frozen=True)
class Preprocessing:
    """The record of one model.

    Pictures that do not fill the square lie in its top left corner. What is right of them and
    below is 0 after normalising: the mean colour for SAM, the darkest value for LiteMedSAM.

    Attributes:
        id: stable name, ``family-side``; embeddings are bound to it.
        input_side: side of the model's square input, pixels.
        low_res_side: side of the decoder's square of logits.
        kernel: of the resize.
        mean: of each channel, RGB, on the scale of the values; subtracted.
        std: of each channel; divided by.
        output_steps: how logits become original pixels.
        squash: fill the square, and give up the aspect; else the longest side fills it.
        stretch: bring the values of the resized picture from 0..255 to 0..1, its darkest to 0
            and its brightest to 1, all channels together, before ``mean`` and ``std``.
        uniform_scale: prompts move by ``input_side / longest side`` on both axes; else by what
            each side was really resized by, which rounding makes a little different.
        whole_boxes: corners of boxes are cut to whole input pixels.
        averaged: what the resizes of ``output_steps`` average.
        boxes_only: the model was trained with boxes alone, so other prompts deserve a warning.
    """

    id: str
    input_side: int
    low_res_side: int
    kernel: Kernel
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    output_steps: tuple[OutputStep, ...]
    squash: bool = False
    stretch: bool = False
    uniform_scale: bool = False
    whole_boxes: bool = False
    averaged: Averaged = "logits"
    boxes_only: bool = False

    def frame(self, size: Size, resized: Size | None = None) -> Frame:
        """Where a picture of this size lies in the input.

        Args:
            size: of the original picture.
            resized: its size in the input, where the caller has resized it; else by the rule.
        """
        resized = resized or self._resized(size)
        uniform = self.input_side / max(size.height, size.width)
        per_axis = (resized.width / size.width, resized.height / size.height)
        return Frame(
            original=size,
            resized=resized,
            scale=(uniform, uniform) if self.uniform_scale else per_axis,
            input_side=self.input_side,
            low_res_side=self.low_res_side,
            output_steps=self.output_steps,
            whole_boxes=self.whole_boxes,
            averaged=self.averaged,
        )

    def apply(self, image: ByteArray) -> tuple[FloatArray, Frame]:
        """The model's input for a picture.

        Args:
            image: (H, W, 3) uint8 RGB, upright.

        Returns:
            pixels (1, 3, S, S) float32, and the frame.

        Raises:
            ShapeError: it is no such picture.
            MissingExtraError: the kernel needs a package that is not installed.
        """
        check_shape(image, ("H", "W", 3), "image")
        frame = self.frame(Size(*image.shape[:2]))
        resized = resize(image, frame.resized, self.kernel)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalised = (self._levels(resized) - mean) / std
        pixels = np.zeros((1, 3, self.input_side, self.input_side), np.float32)
        pixels[0, :, : frame.resized.height, : frame.resized.width] = normalised.transpose(2, 0, 1)
        return pixels, frame

    def _resized(self, size: Size) -> Size:
        """The size in the square; half pixels round up, no side vanishes."""
        if self.squash:
            return Size(self.input_side, self.input_side)
        scale = self.input_side / max(size.height, size.width)
        height, width = (max(1, int(length * scale + 0.5)) for length in (size.height, size.width))
        return Size(height, width)

    def _levels(self, resized: ByteArray) -> FloatArray:
        """The values of a resized picture, stretched if the record says so, float32."""
        if not self.stretch:
            return resized.astype(np.float32)
        darkest, brightest = int(resized.min()), int(resized.max())
        # a flat picture has no range: it becomes 0, as published
        levels = (np.arange(256) - darkest) / max(brightest - darkest, 1e-8)
        stretched: FloatArray = levels.astype(np.float32)[resized]
        return stretched


def sam(input_side: int = 1024) -> Preprocessing:
    """SAM and MobileSAM: resize the longest side, normalise, pad."""
    return Preprocessing(
        id=f"sam-{input_side}",
        input_side=input_side,
        low_res_side=input_side // 4,
        kernel="bilinear",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        output_steps=("resize_to_input", "crop_to_resized", "resize_to_original"),
    )


def medsam(input_side: int = 1024) -> Preprocessing:
    """MedSAM: squash to the square, stretch the values; masks are averaged as probabilities."""
    return Preprocessing(
        id=f"medsam-{input_side}",
        input_side=input_side,
        low_res_side=input_side // 4,
        kernel="spline",
        mean=(0, 0, 0),
        std=(1, 1, 1),
        output_steps=("resize_to_original",),
        squash=True,
        stretch=True,
        averaged="probabilities",
        boxes_only=True,
    )


def lite_medsam(input_side: int = 256) -> Preprocessing:
    """LiteMedSAM: resize the longest side, stretch, pad; logits have the input's resolution."""
    return Preprocessing(
        id=f"lite-medsam-{input_side}",
        input_side=input_side,
        low_res_side=input_side,
        kernel="area",
        mean=(0, 0, 0),
        std=(1, 1, 1),
        output_steps=("crop_to_resized", "resize_to_original"),
        stretch=True,
        uniform_scale=True,
        whole_boxes=True,
        boxes_only=True,
    )


PREPROCESSING = {"lite-medsam": lite_medsam, "medsam": medsam, "sam": sam}


def preprocessing(identifier: str) -> Preprocessing:
    """The record with this id.

    Raises:
        ValueError: no model is prepared that way here.

    >>> preprocessing("sam-1024").low_res_side
    256
    """
    family, _, side = identifier.rpartition("-")
    known = family in PREPROCESSING and side.isdecimal() and int(side) > 0 and int(side) % 16 == 0
    if not known:
        raise ValueError(
            f"preprocessing {identifier!r} is not known here: expected FAMILY-SIDE, family one of "
            f"{', '.join(PREPROCESSING)}, side a multiple of 16"
        )
    return PREPROCESSING[family](int(side))
