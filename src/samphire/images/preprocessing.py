"""How a picture becomes a model's input: one record a model, nothing special-cased elsewhere.

Not for reading files (``read.py``). Source: segment-anything ``utils/transforms.py``
(``ResizeLongestSide``) and ``Sam.preprocess``; MobileSAM uses the same.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from samphire.arrays import ByteArray, FloatArray
from samphire.errors import check_shape
from samphire.geometry import Frame, OutputStep, Size


@dataclass(frozen=True)
class Preprocessing:
    """The record of one model.

    Attributes:
        id: stable name, ``family-side``; embeddings are bound to it.
        input_side: side of the model's square input, pixels.
        low_res_side: side of the decoder's square of logits.
        mean: of each channel, RGB, on the scale 0 to 255.
        std: of each channel.
        output_steps: how logits become original pixels.
    """

    id: str
    input_side: int
    low_res_side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    output_steps: tuple[OutputStep, ...]

    def frame(self, size: Size, resized: Size | None = None) -> Frame:
        """Where a picture of this size lies in the input: its longest side fills the square.

        Args:
            size: of the original picture.
            resized: its size in the input, where the caller has resized it; else by the rule.
        """
        return Frame(
            original=size,
            resized=resized or _longest_side(size, self.input_side),
            input_side=self.input_side,
            low_res_side=self.low_res_side,
            output_steps=self.output_steps,
        )

    def apply(self, image: ByteArray) -> tuple[FloatArray, Frame]:
        """The model's input for a picture.

        Args:
            image: (H, W, 3) uint8 RGB, upright.

        Returns:
            pixels (1, 3, S, S) float32, and the frame. The padding, right and below, is 0 after
            normalising: the mean colour.
        """
        check_shape(image, ("H", "W", 3), "image")
        frame = self.frame(Size(*image.shape[:2]))
        resized = resize(image, frame.resized)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalised = (resized.astype(np.float32) - mean) / std
        pixels = np.zeros((1, 3, self.input_side, self.input_side), np.float32)
        pixels[0, :, : frame.resized.height, : frame.resized.width] = normalised.transpose(2, 0, 1)
        return pixels, frame


def sam(input_side: int = 1024) -> Preprocessing:
    """SAM and MobileSAM: resize the longest side, normalise, pad."""
    return Preprocessing(
        id=f"sam-{input_side}",
        input_side=input_side,
        low_res_side=input_side // 4,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        output_steps=("resize_to_input", "crop_to_resized", "resize_to_original"),
    )


PREPROCESSING = {"sam": sam}


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


def resize(image: ByteArray, size: Size) -> ByteArray:
    """Resize (H, W, 3) uint8 as the published code does: Pillow's bilinear filter.

    It averages when shrinking and works in integers, so the result is the same everywhere. Other
    kernels change up to a fifth of the bytes and move the masks.
    """
    if image.shape[:2] == (size.height, size.width):
        return image
    picture = Image.fromarray(image)
    return np.array(picture.resize((size.width, size.height), Image.Resampling.BILINEAR))


def _longest_side(size: Size, side: int) -> Size:
    """The size whose longest side is ``side``; half pixels round up, no side vanishes."""
    scale = side / max(size.height, size.width)
    height, width = (max(1, int(length * scale + 0.5)) for length in (size.height, size.width))
    return Size(height, width)
