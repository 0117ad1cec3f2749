"""JPEGs that lack nothing but their end marker, as some cameras and servers leave them.

Pillow refuses them like files cut in the middle; told to accept both, it would draw the missing
half grey. Here the two are told apart. Not for damage inside the data.
"""

import io
from typing import BinaryIO

from PIL import Image, ImageChops

from samphire.images.limits import check_drawn

_START_OF_SCAN, _END = b"\xff\xda", b"\xff\xd9"
# Read as picture data where data are missing, skipped where the picture is complete.
_FILLERS = (b"\x00" * 64, b"\x55" * 64)


def check_scans(file: BinaryIO, size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Refuse a JPEG of thousands of scans: each is drawn over the whole picture.

    Inside the data these two bytes never stand together; elsewhere they hardly do.
    """
    file.seek(0)
    check_drawn(size, file.read().count(_START_OF_SCAN), name, max_pixels)


def load_jpeg(file: BinaryIO, image: Image.Image) -> Image.Image:
    """The image, decoded; mended where only the end marker is missing.

    Args:
        file: the whole file.
        image: opened from it, not yet loaded.

    Raises:
        OSError: Pillow's, for a file that ends early.
    """
    try:
        image.load()
    except OSError:
        mended = _mended(file, image)
        if mended is None:
            raise
        return mended
    return image


def _mended(file: BinaryIO, image: Image.Image) -> Image.Image | None:
    """The picture, if it is the same whatever stands before an end marker put behind the file.

    Only for sequential JPEGs: of a progressive one whole refinements may be missing.
    """
    if image.info.get("progressive"):
        return None
    file.seek(0)
    content = file.read()
    tries = []
    for filler in (b"", *_FILLERS):
        with Image.open(io.BytesIO(content + filler + _END), formats=("JPEG",)) as opened:
            opened.load()
            tries.append(opened)
    same = all(ImageChops.difference(tries[0], other).getbbox() is None for other in tries[1:])
    return tries[0] if same else None
