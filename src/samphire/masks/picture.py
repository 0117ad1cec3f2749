"""Masks and logits as small pictures by themselves, without the photo: what a notebook shows.

Not for drawing on a photo (``images/draw.py``). Only NumPy and OpenCV, so that a value can show
itself. The colours of masks are in ``colours.py``.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from samphire.arrays import BoolArray, ByteArray, FloatArray
from samphire.geometry import Size

LONGEST_SIDE = 1024
NO_MASK = (24, 24, 24)
# Logits at which the heat map has its full colour: the mask's probability is then 0.0003 or 0.9997.
FULL_COLOUR = 8.0
# Face, size and thickness of captions.
FONT = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1
OUTSIDE, UNDECIDED, INSIDE = (67, 147, 195), (255, 255, 255), (214, 96, 77)


def shrink_factor(size: Size) -> int:
    """The whole number of pixels, a side, that become one pixel of the picture.

    >>> shrink_factor(Size(800, 1200)), shrink_factor(Size(600, 800))
    (2, 1)
    """
    return -(-max(size.height, size.width) // LONGEST_SIDE)


def blank(size: Size) -> ByteArray:
    """The empty picture of an image of this size, (h, w, 3) RGB, no side above LONGEST_SIDE."""
    factor = shrink_factor(size)
    canvas = np.empty((-(-size.height // factor), -(-size.width // factor), 3), np.uint8)
    canvas[:] = NO_MASK
    return canvas


def paint(
    canvas: ByteArray,
    window: BoolArray,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
    factor: int,
) -> None:
    """Lay one mask over the picture, in place, with a thin outline in a lighter colour.

    Args:
        canvas: from :func:`blank`.
        window: (h, w) bool, the mask inside its box; an empty one paints nothing.
        corner: x and y of the box in original pixels.
        colour: RGB.
        factor: from :func:`shrink_factor`; a pixel half covered gets half of the colour.
    """
    if not window.size:
        return
    (x, y), (height, width) = corner, window.shape
    left, top = x // factor, y // factor
    right, bottom = -(-(x + width) // factor), -(-(y + height) // factor)
    edges = (
        (y - top * factor, bottom * factor - y - height),
        (x - left * factor, right * factor - x - width),
    )
    padded = np.pad(window.astype(np.uint8) * 255, edges)
    share = cv2.resize(padded, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    under = canvas[top:bottom, left:right]
    weight = share[:, :, None] / np.float32(255)
    under[:] = np.rint(under + (np.array(colour, np.float32) - under) * weight)
    outlines, _ = cv2.findContours(
        (share >= 128).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(left, top)
    )
    cv2.drawContours(canvas, outlines, -1, [(part + 255) // 2 for part in colour], 1)


def heat_map(logits: FloatArray, size: Size) -> ByteArray:
    """Logits as colours: red inside the mask, blue outside, white undecided, black the cut at 0.

    Args:
        logits: (h, w) float32, one picture's part of the low-resolution square.
        size: of the heat map; the logits are resized to it bilinearly.

    Returns:
        (H, W, 3) uint8 RGB; beyond ``FULL_COLOUR`` on either side the colour does not change.
    """
    large = cv2.resize(logits, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    share = np.clip(large / FULL_COLOUR, -1, 1)[:, :, None]
    ends = np.where(share > 0, np.array(INSIDE), np.array(OUTSIDE))
    middle = np.array(UNDECIDED)
    picture: ByteArray = np.rint(middle + (ends - middle) * np.abs(share)).astype(np.uint8)
    cut, _ = cv2.findContours((large > 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, cut, -1, (0, 0, 0), 1)
    return picture


def captioned_grid(rows: Sequence[Sequence[tuple[str, ByteArray]]], note: str = "") -> ByteArray:
    """Pictures of one size in rows and columns on white, each with a line of text above.

    Columns are as wide as the widest text where the pictures are narrower.

    Args:
        rows: of equal length, at least one picture; text in ASCII.
        note: a last line of text, if any.
    """
    height, width = rows[0][0][1].shape[:2]
    captions = [caption for pictures in rows for caption, _ in pictures]
    gap, band = 8, 24
    widest = max(map(_text_width, captions)) + gap  # two texts need more air than two pictures
    step_x, step_y = max(width, widest) + gap, height + band
    sheet_width = max(len(rows[0]) * step_x, _text_width(note) + gap) + gap
    sheet_height = len(rows) * step_y + gap + (band if note else 0)
    sheet = np.full((sheet_height, sheet_width, 3), 255, np.uint8)
    for row, pictures in enumerate(rows):
        for column, (caption, picture) in enumerate(pictures):
            x, y = gap + column * step_x, row * step_y
            _write(sheet, caption, x, y + band - 8)
            sheet[y + band : y + band + height, x : x + width] = picture
    if note:
        _write(sheet, note, gap, len(sheet) - 10)
    return sheet


def rgb_to_png(picture: ByteArray) -> bytes:
    """The bytes of a PNG file of an RGB picture."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return bytes(data)


def _text_width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, *FONT)
    return width


def _write(sheet: ByteArray, text: str, x: int, y: int) -> None:
    face, size, thickness = FONT
    cv2.putText(sheet, text, (x, y), face, size, (40, 40, 40), thickness, cv2.LINE_AA)
