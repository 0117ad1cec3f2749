"""``ResizeLongestSide``: pictures and coordinates into the frame of the model's input.

The published methods over Samphire's one rule (``images/preprocessing.py``, ``geometry.py``).
"""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from samphire.arrays import ByteArray, FloatArray
from samphire.errors import ImageError, ShapeError
from samphire.geometry import Frame, Size
from samphire.images import preprocessing
from samphire.images.resize import resize


class ResizeLongestSide:
    """Resize so that the longest side has ``target_length`` pixels; nothing given is changed.

    Args:
        target_length: pixels.
    """

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: ByteArray) -> ByteArray:
        """Resize a picture (H, W, C) or (H, W), uint8, with Pillow's bilinear filter.

        Raises:
            ImageError: it is not uint8; the filter would not know what is white.
        """
        if image.dtype != np.uint8:
            raise ImageError(
                f"the image array is {image.dtype}: expected uint8 from 0 to 255 (a tensor of "
                "floats goes through apply_image_torch)"
            )
        flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
        return resize(flat, self._frame(flat.shape[:2]).resized).copy()

    def apply_coords(self, coords: npt.ArrayLike, original_size: tuple[int, ...]) -> FloatArray:
        """Points (..., 2) in pixels of the picture -> of the resized one, float64.

        Args:
            coords: x, y.
            original_size: height and width of the picture.
        """
        points = np.asarray(coords)
        _check_last(points.shape, 2)
        return self._frame(original_size).to_input(points)

    def apply_boxes(self, boxes: npt.ArrayLike, original_size: tuple[int, ...]) -> FloatArray:
        """Boxes (..., 4), x0, y0, x1, y1 -> (N, 4), as :meth:`apply_coords`."""
        return self._frame(original_size).to_input(np.reshape(boxes, (-1, 4)))

    def apply_image_torch(self, image: torch.Tensor) -> torch.Tensor:
        """Resize pictures (B, C, H, W) of floats; near what :meth:`apply_image` gives, not equal.

        The published weights were trained with the other one, and a picture resized here can move
        a mask's edge.
        """
        size = self._frame(image.shape[-2:]).resized
        return functional.interpolate(
            image,
            (size.height, size.width),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )

    def apply_coords_torch(
        self, coords: torch.Tensor, original_size: tuple[int, ...]
    ) -> torch.Tensor:
        """As :meth:`apply_coords`, for a tensor; float32 on the same device."""
        _check_last(coords.shape, 2)
        x_scale, y_scale = self._frame(original_size).scale
        x, y = coords.to(torch.float32).unbind(-1)
        return torch.stack([x * x_scale, y * y_scale], dim=-1)

    def apply_boxes_torch(
        self, boxes: torch.Tensor, original_size: tuple[int, ...]
    ) -> torch.Tensor:
        """As :meth:`apply_boxes`, for a tensor; float32 on the same device."""
        corners = self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size)
        return corners.reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Height and width after resizing; half pixels round up, and no side vanishes.

        >>> ResizeLongestSide.get_preprocess_shape(1200, 1800, 1024)
        (683, 1024)
        """
        resized = preprocessing.sam(long_side_length).frame(Size(oldh, oldw)).resized
        return resized.height, resized.width

    def _frame(self, original_size: tuple[int, ...]) -> Frame:
        height, width = (int(length) for length in original_size[:2])
        return preprocessing.sam(self.target_length).frame(Size(height, width))


def _check_last(shape: tuple[int, ...], length: int) -> None:
    if not shape or shape[-1] != length:
        raise ShapeError(f"the coordinates have shape {tuple(shape)}: expected (..., {length})")
