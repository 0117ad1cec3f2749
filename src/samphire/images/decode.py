"""An image file -> its pixels as stored: a Pillow image of 8 bits, or deeper intensities.

Not for scaling (``intensity.py``) or colours (``colour.py``). The content decides the format, never
the name; only formats in ``FORMATS`` are tried, because some of Pillow's others start programs
(EPS) or are containers of anything.
"""

import io
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from samphire.errors import ImageError
from samphire.images import tiff
from samphire.images.deep import Deep, read_colour, read_tiff
from samphire.images.foreign import not_opened
from samphire.images.jpeg import check_scans, load_jpeg
from samphire.images.limits import check_drawn, check_pixels
from samphire.images.orientation import orientation_of, upright
from samphire.images.png import check_png

FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")

EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "RGBX", "CMYK", "YCbCr")
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")

_PILLOW_LIMIT = threading.Lock()
_WIDTH, _HEIGHT, _BITS, _SAMPLE_FORMAT, _PLANES = 256, 257, 258, 339, 284  # TIFF tags


@contextmanager
def opened(source: str | Path | bytes) -> Iterator[BinaryIO]:
    """The file, at its start; what is no regular file (a folder, a pipe, a device) is refused."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ImageError(f"{path} is {kind}: expected an image file")
    with path.open("rb") as file:
        yield file


def decode(file: BinaryIO, name: str, max_pixels: int, page: int) -> Image.Image | Deep:
    """One page or frame of the file.

    Args:
        file: at its start, open as long as the Pillow image is used.
        name: of the file, for messages.
        max_pixels: refuse a larger page, by its header.
        page: from 0.

    Returns:
        A loaded Pillow image of one of ``EIGHT_BIT_MODES``, orientation and profile not yet
        obeyed; or the intensities of anything deeper, upright.
    """
    image = _open_page(file, name, max_pixels, page)
    if image is None:
        return read_tiff(file, page, name, max_pixels)
    check_pixels(image.width, image.height, name, max_pixels)
    if image.format == "PNG" and page == 0:
        check_png(file, name)
    if image.format == "TIFF":
        if _only_opencv_reads(image):
            return read_tiff(file, page, name, max_pixels)
        tags: Any = getattr(image, "tag_v2", {})
        stored = tags.get(_WIDTH, image.width), tags.get(_HEIGHT, image.height)
        tiff.check_pieces(tags, stored, name)
    if _colour_of_16_bits(image) and page == 0:
        return read_colour(file, image, name)
    largest = image.tile[0].args if image.format == "PPM" and image.tile else None
    if image.format in ("JPEG", "MPO"):
        check_scans(file, image.size, name, max_pixels)
        if page == 0:
            return eight_bit(load_jpeg(file, image), name)
    image.load()
    if image.mode in DEEP_MODES:
        return Deep(upright(_values(image, largest), orientation_of(image, name)))
    return eight_bit(image, name)


def eight_bit(image: Image.Image, name: str) -> Image.Image:
    """The image itself, if its mode is one that can be shown as it is."""
    if image.mode not in EIGHT_BIT_MODES:
        raise ImageError(
            f"{name} holds {image.mode!r} pixels: expected grey, RGB, CMYK or a palette "
            "(convert it first)"
        )
    return image


def deep_values(image: Image.Image, name: str) -> npt.NDArray[Any]:
    """The intensities of a Pillow image of one of ``DEEP_MODES``, (H, W), upright."""
    image.load()
    return upright(np.asarray(image), orientation_of(image, name))


def _open_page(file: BinaryIO, name: str, max_pixels: int, page: int) -> ImageFile.ImageFile | None:
    """The header of the page; None for a TIFF whose kind Pillow does not know."""
    signature = file.read(4)
    file.seek(0)
    if signature == tiff.PILLOW_MISREADS:
        return None
    try:
        with _without_pillows_limit():
            image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        if signature not in tiff.SIGNATURES:
            raise ImageError(not_opened(file, name, FORMATS)) from error
        return None
    if page == 0:
        return image
    check_pixels(image.width, image.height, name, max_pixels)
    count = getattr(image, "n_frames", 1)
    if page >= count:
        raise ImageError(tiff.no_page(name, page, count))
    if image.format not in ("TIFF", "MPO"):
        check_drawn(image.size, page + 1, name, max_pixels)
    try:
        with _without_pillows_limit():
            image.seek(page)
    except SyntaxError:
        if image.format != "TIFF":
            raise
        return None
    return image


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Read headers without Pillow's own limit of pixels; ours is checked next.

    Pillow's is one number for the whole process: too low for a large ``max_pixels``, and up to
    twice that number it is a warning only. One thread at a time, so that it always stands again.
    """
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _only_opencv_reads(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would cut this TIFF page to 8 bits, or fails on its planes."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode in ("RGB", "RGBA", "RGBX"):
        return bool(max(tags.get(_BITS, (8,))) > 8)
    return image.mode in DEEP_MODES and bool(tags.get(_PLANES, 1) == 2)


def _colour_of_16_bits(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would cut this PNG or PPM to 8 bits: told by the first tile's layout."""
    if image.mode not in ("RGB", "RGBA", "LA") or not image.tile:
        return False
    layout: Any = image.tile[0].args
    if image.format == "PNG":
        return isinstance(layout, str) and layout.endswith(";16B")
    return image.format == "PPM" and isinstance(layout, tuple) and bool(layout[-1] > 255)


def _values(image: Image.Image, layout: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - Pillow's
    """The intensities as the file holds them, where Pillow has changed them."""
    values: npt.NDArray[Any] = np.asarray(image)
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(_BITS) == (32,) and image.mode == "I" and tags.get(_SAMPLE_FORMAT, (1,)) == (1,):
        values = values.view(np.uint32)  # Pillow holds unsigned as signed
    if isinstance(layout, tuple) and image.mode == "I":  # PGM: spread to 65535 by Pillow
        values = np.rint(values * (layout[-1] / 65535)).astype(np.uint16)
    return values
