"""A picture made small, as the bytes of a file: what a page shows of it.

Not for what a model sees, whose kernels and sizes are fixed (``resize.py``).
"""

import io

from PIL import Image

from samphire.arrays import ByteArray
from samphire.geometry import Size

QUALITY = 85


def shrunk(size: Size, max_side: int) -> Size:
    """The size with its longest side at most ``max_side``; a small one stays as it is.

    >>> str(shrunk(Size(1200, 1800), 900)), str(shrunk(Size(10, 20), 900))
    ('900x600', '20x10')
    """
    longest = max(size.height, size.width)
    if longest <= max_side:
        return size
    height, width = (max(1, round(side * max_side / longest)) for side in (size.height, size.width))
    return Size(height, width)


def jpeg(rgb: ByteArray, max_side: int) -> bytes:
    """The bytes of a JPEG file of a picture, shrunk to :func:`shrunk`'s size.

    Args:
        rgb: (H, W, 3) uint8.
        max_side: the longest side of the result, pixels, at least 1; larger ones only shrink.
    """
    size = shrunk(Size(*rgb.shape[:2]), max_side)
    picture = Image.fromarray(rgb)
    if size != Size(*rgb.shape[:2]):
        # whole factors first, then Lanczos: four times as quick, and no difference to be seen
        picture = picture.resize(
            (size.width, size.height), Image.Resampling.LANCZOS, reducing_gap=3.0
        )
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
