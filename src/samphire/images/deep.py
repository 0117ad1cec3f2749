"""Files whose pixels Pillow would cut to 8 bits or not read: decoded by OpenCV.

16-bit colour in PNG, PPM and TIFF; 64-bit floats and float colour in TIFF. OpenCV draws a file
that ends early as far as it goes, so that completeness is established before it is called.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from samphire.arrays import ByteArray
from samphire.errors import ImageError
from samphire.images import tiff
from samphire.images.limits import check_pixels
from samphire.images.orientation import orientation_of, upright

_GREY, _RGB = (0, 1), 2


@dataclass(frozen=True, eq=False)
class Deep:
    """Intensities as the file holds them, upright: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA."""

    values: npt.NDArray[Any]
    profile: bytes | None = None


def buffer_of(file: BinaryIO) -> ByteArray:
    """The file's bytes, (N,) uint8; of a file on disk only what is looked at is read."""
    try:
        return np.memmap(file, np.uint8, mode="c")
    except (AttributeError, OSError):  # bytes in memory have no file number
        file.seek(0)
        return np.frombuffer(file.read(), np.uint8)


def read_colour(file: BinaryIO, image: Image.Image, name: str) -> Deep:
    """A PNG or PPM of more than 8 bits a channel; Pillow decodes it first, to find damage."""
    image.load()
    decoded = cv2.imdecode(buffer_of(file), cv2.IMREAD_UNCHANGED)
    values = _channels(decoded, image.size, name)
    return Deep(upright(values, orientation_of(image, name)), image.info.get("icc_profile"))


def read_tiff(file: BinaryIO, number: int, name: str, max_pixels: int) -> Deep:
    """One page of a TIFF, by OpenCV.

    Args:
        file: the file.
        number: of the page, from 0.
        name: of the file, for messages.
        max_pixels: refuse a larger page before decoding.

    Raises:
        ImageError: no such page, too large, damaged, or of a kind that cannot be shown.
    """
    buffer = buffer_of(file)
    page = tiff.page_of(buffer, number, name)
    check_pixels(page.width, page.height, name, max_pixels)
    tiff.check_pieces(page.tags, (page.width, page.height), name)
    grey = page.samples == 1 and page.photometric in _GREY
    colour = page.samples in (3, 4) and page.photometric == _RGB
    if not (grey or colour):
        raise ImageError(
            f"{name} has {page.samples} bands of {max(page.bits)} bits: expected a TIFF of one "
            "grey band, RGB or RGBA (read it with a library of its field and hand over the bands "
            "to show as an array)"
        )
    if not page.sound or min(page.bits) < 8:
        raise ImageError(f"{name} is damaged: its TIFF directory and data do not fit each other")
    _, pages = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED, range=(number, number + 1))
    values = _channels(pages[0] if pages else None, (page.width, page.height), name)
    if page.samples == 4 and page.extra == (0,):  # a fourth band, but not said to be alpha
        values = values[..., :3]
    return Deep(values)  # a TIFF's orientation is one thing that OpenCV has obeyed already


def _channels(
    values: npt.NDArray[Any] | None, size: tuple[int, int], name: str
) -> npt.NDArray[Any]:
    """OpenCV's pixels as grey, RGB or RGBA; turned or not, they are those of the header."""
    if values is None or values.shape[1::-1] not in (size, size[::-1]):
        raise ImageError(f"{name} cannot be read: OpenCV does not decode pixels of its kind")
    if values.ndim == 2:
        return values
    return values[..., [2, 1, 0, 3][: values.shape[2]]]
