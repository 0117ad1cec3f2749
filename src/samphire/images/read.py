"""Any picture -> upright RGB uint8, or one error that says what was there instead.

The door of this room. Files are decoded in ``decode.py``, colours made in ``colour.py``, deep
intensities scaled in ``intensity.py``, each rule once, for files, Pillow images and arrays alike;
``docs/how-to/images.md`` lists them. Not for masks or results (``formats/``).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from samphire.arrays import ByteArray
from samphire.errors import ImageError
from samphire.images.colour import srgb_on_white
from samphire.images.decode import DEEP_MODES, decode, deep_values, eight_bit, opened
from samphire.images.deep import Deep
from samphire.images.intensity import Window, check_window, default_window, to_bytes
from samphire.images.limits import DEFAULT_MAX_PIXELS, check_pixels

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "ImageLike",
    "explained",
    "image_name",
    "pixels_id",
    "read_image",
]

# What a folder is searched for. A file named by hand is tried whatever its name.
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"}
    | {".tga", ".tif", ".tiff", ".webp"}
)

ImageLike = str | Path | bytes | Image.Image | npt.NDArray[Any]


def read_image(
    image: ImageLike,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    *,
    page: int = 0,
    window: Window | None = None,
    usual_window: Window | None = None,
) -> ByteArray:
    """The picture as upright RGB.

    Args:
        image: a path, the bytes of a file, a Pillow image as it stands, or an array (H, W),
            (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, upright, of bool, integers or floats.
        max_pixels: refuse larger files; read from the header before anything is decoded. An
            array, which is in memory already, is taken whatever its size.
        page: of a TIFF, or frame of an animation, from 0.
        window: the intensities that become black and white, in the file's own unit (for CT:
            Hounsfield units), for pixels deeper than 8 bits; linear between, clipped. None: the
            rule in ``intensity.py``. Refused for 8-bit pixels, which are never stretched.
        usual_window: for deeper pixels where no ``window`` is given; 8-bit pixels stay as they
            are. A model that was tuned in a window has it (``EngineInfo.window``).

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: there is no picture, it is damaged, too large, or of a kind not read here.

    >>> read_image(np.array([[-1000, 40, 3000]], np.int16), window=(-160, 240))[0, :, 0].tolist()
    [0, 128, 255]
    """
    name = image_name(image)
    chosen = None if window is None else check_window(window)
    if page < 0:
        raise ImageError(f"page {page} of {name}: expected 0 for the first, 1 for the second, ...")
    with explained(name):
        if isinstance(image, np.ndarray):
            _check_page(page, "an array")
            return _from_array(image, chosen, usual_window)
        if isinstance(image, Image.Image):
            _check_page(page, "a Pillow image (seek to it first)")
            check_pixels(image.width, image.height, name, max_pixels)
            if image.mode in DEEP_MODES:
                return _shown(Deep(deep_values(image, name)), chosen, usual_window, name)
            return _eight_bit(eight_bit(image, name), chosen, name)
        if not isinstance(image, str | Path | bytes):
            raise ImageError(
                f"the image is a {type(image).__name__}: expected a path, the bytes of a file, "
                "a Pillow image or a NumPy array"
            )
        with opened(image) as file:
            decoded = decode(file, name, max_pixels, page)
            if isinstance(decoded, Deep):
                return _shown(decoded, chosen, usual_window, name)
            return _eight_bit(decoded, chosen, name)


def image_name(image: ImageLike) -> str:
    """What to call the picture in a message: its file's name where it has one."""
    return Path(image).name if isinstance(image, str | Path) else "the image"


def pixels_id(image: ByteArray) -> str:
    """SHA-256 of the pixels (H, W, 3) uint8 and their size, in hex."""
    height, width, _ = image.shape
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _from_array(image: npt.NDArray[Any], window: Window | None, usual: Window | None) -> ByteArray:
    flat = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
    if not flat or 0 in image.shape:
        first = image.ndim == 3 and image.shape[0] in (1, 3, 4)
        hint = " (channels first? then np.moveaxis(image, 0, -1))" if first else ""
        raise ImageError(
            f"the image array has shape {image.shape}: expected (height, width), or a third axis "
            f"of 1 (grey), 3 (RGB) or 4 (RGBA), neither side empty{hint}"
        )
    kind, bits = image.dtype.kind, 8 * image.dtype.itemsize
    if kind not in "buif" or bits > 64:
        raise ImageError(f"the image array is {image.dtype}: expected bool, integers or floats")
    grey = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if kind == "b":
        grey = grey.astype(np.uint8) * np.uint8(255)
    if grey.dtype != np.uint8:
        return _shown(Deep(grey), window, usual, "the image array")
    _refuse_window(window, "the image array")
    return _rgb(grey, None, "the image array")


def _shown(deep: Deep, window: Window | None, usual: Window | None, name: str) -> ByteArray:
    """Deep intensities as RGB: colours through the window, alpha by its own range."""
    values = deep.values
    if values.dtype == np.uint8:
        _refuse_window(window, name)
        return _rgb(values, deep.profile, name)
    has_alpha = values.ndim == 3 and values.shape[2] == 4
    colours = values[..., :3] if has_alpha else values
    shown = to_bytes(colours, window or usual or default_window(colours, name))
    if has_alpha:
        opaque = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
        shown = np.concatenate([shown, to_bytes(values[..., 3:], (0.0, opaque))], axis=2)
    return _rgb(shown, deep.profile, name)


def _eight_bit(image: Image.Image, window: Window | None, name: str) -> ByteArray:
    _refuse_window(window, name)
    return srgb_on_white(image, name)


def _rgb(values: ByteArray, profile: bytes | None, name: str) -> ByteArray:
    """(H, W), (H, W, 3) or (H, W, 4) uint8 as (H, W, 3)."""
    if values.ndim == 2:
        return np.stack([values] * 3, axis=-1)
    if values.shape[2] == 3 and not profile:
        return np.ascontiguousarray(values)
    made = Image.fromarray(np.ascontiguousarray(values))
    made.info["icc_profile"] = profile
    return srgb_on_white(made, name)


def _refuse_window(window: Window | None, name: str) -> None:
    if window is not None:
        raise ImageError(
            f"{name} has 8 bits a channel: a window is for deeper pixels (leave it out, or hand "
            "over the intensities before they were cut to 8 bits)"
        )


def _check_page(page: int, what: str) -> None:
    if page:
        raise ImageError(f"page {page} of {what}: expected page 0, there is no other")


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what decoders raise on bad files into an ImageError that names the file."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # decoders raise what they like: libavif's a ZeroDivisionError
        said = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name} cannot be read: {said}") from error
