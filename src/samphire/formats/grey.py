"""Pictures of one channel as files: what masks and label maps are, encoded by OpenCV. Not a format.

A file is refused by its header before it is decoded: a few bytes can claim any size.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray
from samphire.errors import FileFormatError

MAX_PIXELS = 1 << 30
_COLOUR_TYPE = 25  # where a PNG's header says grey, colour or palette; 0 is grey
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(pixels: npt.NDArray[Any]) -> bytes:
    """The bytes of a PNG of (H, W) uint8 or uint16."""
    _, data = cv2.imencode(".png", pixels)
    return data.tobytes()


def tiff(pixels: npt.NDArray[Any]) -> bytes:
    """The bytes of a TIFF of (H, W) uint8 or uint16."""
    _, data = cv2.imencode(".tif", pixels)
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
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(SIGNATURE) or not 0 < width * height <= MAX_PIXELS:
        raise FileFormatError(f"{name} is not a PNG of at most {MAX_PIXELS} pixels")
    # by the header: colour takes four times more
    if data[_COLOUR_TYPE : _COLOUR_TYPE + 1] != b"\0":
        raise FileFormatError(f"{name} is not a mask: expected a grey PNG, 0 for background")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape != (height, width):
        raise FileFormatError(f"{name} is damaged: its PNG data cannot be decoded")
    return pixels


def read_tiff(data: bytes, name: str) -> npt.NDArray[Any]:
    """The pixels of a grey TIFF, (H, W) uint8 or uint16, from its bytes.

    Raises:
        FileFormatError: it is not a grey TIFF of a sensible size.
    """
    if data[:4] not in {b"II*\0", b"MM\0*"}:
        raise FileFormatError(f"{name} is neither a PNG nor a TIFF")
    # OpenCV refuses what claims more pixels than its own limit, 2**30, before it decodes
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FileFormatError(f"{name} is damaged: {error.err}") from error
    if pixels is None or pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise FileFormatError(f"{name} is no grey TIFF of 8 or 16 bits, or damaged")
    return pixels
