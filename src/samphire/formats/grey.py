"""Pictures of one channel as files: what masks and label maps are, encoded by OpenCV. Not a format.

A file is refused by its header before it is decoded: a few bytes can claim any size.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray
from samphire.errors import FileFormatError, ImageError
from samphire.images import tiff as tags

MAX_PIXELS = 1 << 30
_COLOUR_TYPE = 25  # where a PNG's header says grey, colour or palette; 0 is grey
# Bytes of pixels in a strip of a TIFF.
STRIP_BYTES = 1 << 17
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(pixels: npt.NDArray[Any]) -> bytes:
    """The bytes of a PNG of (H, W) uint8 or uint16."""
    _, data = cv2.imencode(".png", pixels)
    return data.tobytes()


def tiff(pixels: npt.NDArray[Any]) -> bytes:
    """The bytes of a TIFF of (H, W) uint8 or uint16, by Deflate in strips of some rows.

    OpenCV's own way, LZW with a row a strip, makes label maps several times as large.
    """
    rows = max(1, STRIP_BYTES // max(pixels.shape[1] * pixels.itemsize, 1))
    deflate = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
    _, data = cv2.imencode(".tif", pixels, [*deflate, cv2.IMWRITE_TIFF_ROWSPERSTRIP, rows])
    return data.tobytes()


def mask_png(mask: BoolArray) -> bytes:
    """The bytes of a PNG of a mask (H, W): 255 on the object, 0 elsewhere."""
    return png(mask.astype(np.uint8) * np.uint8(255))


def read_png(path: Path) -> npt.NDArray[Any]:
    """The pixels of a grey PNG, (H, W) uint8 or uint16.

    Raises:
        FileFormatError: the file is not a grey PNG of a sensible size.
    """
    return decode_png(path.read_bytes(), str(path))


def decode_png(data: bytes, name: str) -> npt.NDArray[Any]:
    """The same, of bytes; ``name`` is for messages."""
    width, height = png_size(data, name)
    # by the header: colour takes four times more
    if data[_COLOUR_TYPE : _COLOUR_TYPE + 1] != b"\0":
        raise FileFormatError(f"{name} is not a mask: expected a grey PNG, 0 for background")
    pixels = _decoded(data)
    if pixels is None or pixels.shape != (height, width):
        raise FileFormatError(f"{name} is damaged: its PNG data cannot be decoded")
    return pixels


def png_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height that the header of a PNG says.

    Raises:
        FileFormatError: it is not a PNG of a sensible size.
    """
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(SIGNATURE) or not 0 < width * height <= MAX_PIXELS:
        raise FileFormatError(f"{name} is not a PNG of at most {MAX_PIXELS} pixels")
    return width, height


def decode_tiff(data: bytes, name: str) -> npt.NDArray[Any]:
    """The pixels of a grey TIFF, (H, W) uint8 or uint16, from its bytes.

    Raises:
        FileFormatError: it is not a grey TIFF of a sensible size, or damaged.
    """
    if not data.startswith(tags.SIGNATURES):
        raise FileFormatError(f"{name} is neither a PNG nor a TIFF")
    try:
        page = tags.page_of(np.frombuffer(data, np.uint8), 0, name)
        tags.check_pieces(page.tags, (page.width, page.height), name)
    except ImageError as error:
        raise FileFormatError(str(error)) from error
    sensible = 0 < page.width * page.height <= MAX_PIXELS
    if not sensible or page.samples != 1 or page.bits not in ((8,), (16,)):
        raise FileFormatError(
            f"{name} is no grey TIFF of 8 or 16 bits and at most {MAX_PIXELS} pixels"
        )
    # libtiff would tell of damage on stderr
    pixels = _decoded(data) if page.sound else None
    if pixels is None or pixels.shape != (page.height, page.width):
        raise FileFormatError(f"{name} is damaged: its TIFF data cannot be decoded")
    return pixels


def _decoded(data: bytes) -> npt.NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
