"""A picture whose pixels are numbers, not colours: label maps and masks, exactly as stored.

A palette's colours are looks, its indices are the data; grey is not stretched, nothing is turned
into RGB. Not for photos (``read.py``). Source: PNG specification (third edition), section 11.2.1,
for the grey of 1, 2 and 4 bits that decoders spread to 0..255.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from samphire.arrays import IntArray
from samphire.errors import ImageError
from samphire.images.decode import decode, opened
from samphire.images.deep import Deep
from samphire.images.limits import DEFAULT_MAX_PIXELS
from samphire.images.orientation import orientation_of, upright
from samphire.images.png import SIGNATURE
from samphire.images.read import explained

# Grey PNGs: the step between two numbers after a decoder has spread them, by bits a pixel.
_STEPS = {2: 85, 4: 17}
_OPAQUE = 255


def read_indices(path: Path, max_pixels: int = DEFAULT_MAX_PIXELS) -> IntArray:
    """The numbers that a file holds, one a pixel.

    Args:
        path: of a picture without loss: grey, black and white, palette (its indices), or RGB with
            three equal channels.
        max_pixels: refuse larger files, by their header.

    Returns:
        (H, W) of an integer type, uint8 for files of up to 8 bits; 0 and 1 of black and white.

    Raises:
        ImageError: there is no picture, it is damaged, lossy, coloured, or holds fractions.
    """
    name = path.name
    with explained(name), opened(path) as file:
        start = file.read(32)
        file.seek(0)
        kind = _lossy(start)
        if kind:
            raise ImageError(
                f"{name} is a mask in {kind}, which blurs numbers at every edge: expected PNG or "
                "TIFF (make it anew from its source; saving this file as PNG does not help)"
            )
        decoded = decode(file, name, max_pixels, 0)
        if isinstance(decoded, Deep):
            return _whole_numbers(decoded.values, name)
        turned = upright(_stored(decoded, start, name), orientation_of(decoded, name))
        return np.ascontiguousarray(turned)


def _lossy(start: bytes) -> str | None:
    """The format, if it is one that keeps pixels only nearly, by a file's first bytes."""
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return None if start[12:16] == b"VP8L" else "WebP"
    if start[4:8] == b"ftyp":
        return "AVIF"
    if start[4:8] == b"jP  " or start.startswith(b"\xff\x4f\xff\x51"):
        return "JPEG 2000"
    return None


def _stored(image: Image.Image, start: bytes, name: str) -> IntArray:
    """The numbers of an image of 8 bits, as the file has them."""
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode in ("L", "P"):
        values = np.asarray(image)
        grey_png = start.startswith(SIGNATURE) and start[25] == 0
        step = _STEPS.get(start[24], 1) if grey_png else 1
        return values // np.uint8(step)
    if image.mode in ("RGB", "RGBA", "LA"):
        values = np.asarray(image)
        colours = values[..., :3] if image.mode != "LA" else values[..., :1]
        opaque = image.mode == "RGB" or bool((values[..., -1] == _OPAQUE).all())
        if opaque and bool((colours == colours[..., :1]).all()):
            grey: IntArray = colours[..., 0]
            return grey
    raise ImageError(
        f"{name} is a mask in colours ({image.mode}): expected one number a pixel (turn each "
        "colour into the number of its class or object, and save grey or a palette)"
    )


def _whole_numbers(values: IntArray, name: str) -> IntArray:
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise ImageError(
            f"{name} is a mask of shape {values.shape} and type {values.dtype}: expected one "
            "whole number a pixel (save it as PNG of 8 or 16 bits)"
        )
    return values
