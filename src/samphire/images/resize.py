"""The published resize kernels, each by the library and with the rounding of its original.

Another kernel changes up to a fifth of the bytes and moves the masks. Not for choosing a size
(``preprocessing.py``).
"""

from typing import Literal

import cv2
import numpy as np
from PIL import Image

from samphire.arrays import ByteArray
from samphire.errors import MissingExtraError
from samphire.geometry import Size

Kernel = Literal["bilinear", "area", "spline"]


def resize(image: ByteArray, size: Size, kernel: Kernel = "bilinear") -> ByteArray:
    """Resize (H, W, 3) uint8; a picture of the right size is given back as it is.

    Args:
        image: RGB, or any three channels.
        size: of the result.
        kernel: ``bilinear`` is Pillow's (SAM), which averages when it shrinks and works in
            integers, so that it is the same everywhere; ``area`` is OpenCV's INTER_AREA
            (LiteMedSAM); ``spline`` is scikit-image's order 3 with antialiasing (MedSAM).

    Raises:
        MissingExtraError: ``spline`` needs SciPy.
    """
    if image.shape[:2] == (size.height, size.width):
        return image
    return _KERNELS[kernel](image, size)


def _bilinear(image: ByteArray, size: Size) -> ByteArray:
    picture = Image.fromarray(image)
    return np.array(picture.resize((size.width, size.height), Image.Resampling.BILINEAR))


def _area(image: ByteArray, size: Size) -> ByteArray:
    contiguous = np.ascontiguousarray(image)
    resized = cv2.resize(contiguous, (size.width, size.height), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def _spline(image: ByteArray, size: Size) -> ByteArray:
    """Gauss against aliasing, a cubic spline, clipped to the picture's range, cut to uint8.

    In float64, one channel at a time: 8 bytes a pixel. Where the exact result is a whole number,
    rounding decides whether cutting it gives the number or the one below, as in the original.

    Source: scikit-image ``transform.resize(image, size, order=3, preserve_range=True,
    anti_aliasing=True)``, whose calls of SciPy these are; MedSAM ``MedSAM_Inference.py``.
    """
    try:
        from scipy import ndimage  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError(
            "this model's pictures are resized by SciPy, which is not installed: "
            "pip install 'samphire[medical]'"
        ) from error
    shrink = np.array(image.shape[:2]) / (size.height, size.width)
    blur = np.maximum(0, (shrink - 1) / 2)
    darkest, brightest = image.min(), image.max()
    resized = np.empty((size.height, size.width, 3), np.uint8)
    for channel in range(3):
        plane = image[..., channel].astype(np.float64)
        ndimage.gaussian_filter(plane, blur, output=plane, mode="mirror")
        ndimage.spline_filter(plane, 3, output=plane, mode="mirror")
        zoomed = ndimage.zoom(plane, 1 / shrink, mode="mirror", prefilter=False, grid_mode=True)
        resized[..., channel] = np.clip(zoomed, darkest, brightest)
    return resized


_KERNELS = {"bilinear": _bilinear, "area": _area, "spline": _spline}
