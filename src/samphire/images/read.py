"""Any picture -> upright RGB uint8, or one error that says what was there instead.

Not for masks or results (``formats/``). Rules: the EXIF orientation is obeyed; of an animation or
a stack the first frame is taken; grey is repeated to three channels; transparent pixels are laid
on white; CMYK is converted by Pillow. Depths above 8 bits are refused, because cutting them down
needs a stated intensity window.
"""

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from samphire.arrays import ByteArray
from samphire.errors import ImageError

# 100 megapixels: 300 MB as RGB; larger pictures are asked for by name.
DEFAULT_MAX_PIXELS = 100_000_000

# What a folder is searched for. A file named by hand is tried whatever its name.
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"}
    | {".tga", ".tif", ".tiff", ".webp"}
)

ImageLike = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]

_PILLOW_LIMIT = threading.Lock()

_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "RGBX", "CMYK", "YCbCr")


def read_image(image: ImageLike, max_pixels: int = DEFAULT_MAX_PIXELS) -> ByteArray:
    """The picture as upright RGB.

    Args:
        image: a path, the bytes of a file, a Pillow image, or an array (H, W) or (H, W, 3) of
            uint8, which is taken as it is: grey or RGB, upright.
        max_pixels: refuse larger files; read from the header before anything is decoded. An
            array, which is in memory already, is taken whatever its size.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: there is no picture, it is damaged, too large, or of a kind not read here.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image)
    name = image_name(image)
    with _explained(name):
        if isinstance(image, Image.Image):
            return _upright_rgb(image, name, max_pixels)
        source = io.BytesIO(image) if isinstance(image, bytes) else Path(image)
        with _open(source) as opened:
            return _upright_rgb(opened, name, max_pixels)


def image_name(image: ImageLike) -> str:
    """What to call the picture in a message: its file's name where it has one."""
    return Path(image).name if isinstance(image, str | Path) else "the image"


def pixels_id(image: ByteArray) -> str:
    """SHA-256 of the pixels (H, W, 3) uint8 and their size, in hex."""
    height, width, _ = image.shape
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _from_array(image: npt.NDArray[np.uint8]) -> ByteArray:
    if image.dtype != np.uint8:
        raise ImageError(
            f"the image array is {image.dtype}: expected uint8 from 0 to 255 "
            "(scale it first, so that it is you who chooses what becomes black and white)"
        )
    grey = image.ndim == 2
    if not (grey or (image.ndim == 3 and image.shape[2] == 3)) or 0 in image.shape:
        raise ImageError(
            f"the image array has shape {image.shape}: expected (height, width) or "
            "(height, width, 3), neither side empty"
        )
    return np.ascontiguousarray(np.stack([image] * 3, axis=-1) if grey else image)


def _open(source: Path | io.BytesIO) -> Image.Image:
    """Read the header only, without Pillow's own limit of pixels; ours is checked next.

    Pillow's is one number for the whole process: too low for a large ``max_pixels``, and up to
    twice that number it is a warning only.
    """
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _upright_rgb(image: Image.Image, name: str, max_pixels: int) -> ByteArray:
    _check_pixels(image.width, image.height, name, max_pixels)
    if image.mode not in _EIGHT_BIT_MODES:
        raise ImageError(
            f"{name} holds {image.mode!r} pixels ({image.format}): expected 8 bits a channel; "
            "convert it with the intensity range you want to see"
        )
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        over = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return np.array(upright.convert("RGB"))


def _check_pixels(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height}, {width * height / 1e6:.0f} megapixels: expected at most "
            f"{max_pixels / 1e6:.0f} (raise max_pixels, --max-pixels, if you trust the file)"
        )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what Pillow raises on bad files into an ImageError that names the file."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{error.filename} does not exist") from error
    except IsADirectoryError as error:
        raise ImageError(f"{error.filename} is a folder: expected an image file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image that can be read here") from error
    except Exception as error:  # decoders raise what they like: libavif's a ZeroDivisionError
        raise ImageError(f"{name} cannot be read: {str(error) or type(error).__name__}") from error
