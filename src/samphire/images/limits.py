"""How large a picture may be, checked by its header before anything is decoded."""

from samphire.errors import ImageError

# 100 megapixels: 300 MB as RGB; larger pictures are asked for by name.
DEFAULT_MAX_PIXELS = 100_000_000

# A frame of an animation is drawn on those before it: this many times ``max_pixels`` are drawn.
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


def check_drawn(size: tuple[int, int], page: int, name: str, max_pixels: int) -> None:
    """Refuse a frame so late in an animation that drawing up to it would not end soon."""
    if size[0] * size[1] * (page + 1) > _MOST_DRAWN * max_pixels:
        raise ImageError(
            f"{name}: frame {page} of {size[0]}x{size[1]} is drawn on all before it, more than "
            f"{_MOST_DRAWN} times the limit of {max_pixels / 1e6:.0f} megapixels (export the frame)"
        )
