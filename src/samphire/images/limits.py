"""How large a picture may be, checked by its header before anything is decoded."""

from samphire.errors import ImageError

# 100 megapixels: 300 MB as RGB; larger pictures are asked for by name.
DEFAULT_MAX_PIXELS = 100_000_000

# What is drawn over and over (frames of an animation on those before, scans of a JPEG) may add up
# to this many times ``max_pixels``.
_MOST_DRAWN = 100


def check_pixels(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse a picture without pixels, or with more than ``max_pixels``."""
    if min(width, height) < 1:
        raise ImageError(f"{name} is {width}x{height}: expected at least one pixel")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height}, {width * height / 1e6:.0f} megapixels: expected at most "
            f"{max_pixels / 1e6:.0f} (raise max_pixels, --max-pixels, if you trust the file)"
        )


def check_drawn(size: tuple[int, int], times: int, name: str, max_pixels: int) -> None:
    """Refuse a picture drawn so many times over that it would not end soon."""
    if size[0] * size[1] * times > _MOST_DRAWN * max_pixels:
        raise ImageError(
            f"{name} draws {size[0]}x{size[1]} pixels {times} times over: expected at most "
            f"{_MOST_DRAWN} times the limit of {max_pixels / 1e6:.0f} megapixels in all "
            "(export the frame, or save the picture anew)"
        )
