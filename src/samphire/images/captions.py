"""Where the number of each mask can stand on a picture, and how it is written there.

A caption stands inside what is seen of its mask, smaller masks lying on larger ones, so that it
points to one mask only and meets no other caption; what does not fit is left out. Not for the
colours and lines of masks (``draw.py``).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samphire.arrays import IntArray
from samphire.masks import Masks

# Letters are this share of the picture's longest side, and at least so many pixels high.
SHARE, SMALLEST = 1 / 60, 11
# Where they do not fit, smaller ones are tried.
SIZES = (1.0, 0.7)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Longest side of the map on which places are looked for.
MAP_SIDE = 1024
NOBODY = -1


@dataclass(frozen=True)
class Caption:
    """One text and its place.

    Attributes:
        text: what it says.
        centre: x and y in pixels of the picture.
        size: of the letters, pixels.
    """

    text: str
    centre: tuple[float, float]
    size: int


def place_captions(masks: Masks, texts: Sequence[str]) -> list[Caption]:
    """A place for each text on its mask, the largest mask first; those that fit nowhere are left.

    The middle is the innermost point of what is seen of the mask, for it has the most room around.

    Args:
        masks: with at least as many pixels as the letters need to be captioned.
        texts: one a mask.
    """
    factor = -(-max(masks.size.height, masks.size.width) // MAP_SIDE)
    seen = owners(masks, factor)
    placed = [_place(masks, index, texts[index], seen, factor) for index in largest_first(masks)]
    return [caption for caption in placed if caption is not None]


def write_captions(picture: Image.Image, captions: Sequence[Caption]) -> None:
    """Write them on the picture, in place: white, with a black rim for light ground."""
    pen = ImageDraw.Draw(picture)
    for caption in captions:
        pen.text(
            caption.centre,
            caption.text,
            fill=WHITE,
            font=ImageFont.load_default(size=caption.size),
            anchor="mm",
            stroke_width=_rim(caption.size),
            stroke_fill=BLACK,
        )


def largest_first(masks: Masks) -> Iterator[int]:
    """The numbers of the masks that are not empty, by area."""
    order = np.argsort(-masks.area, kind="stable")
    return (int(index) for index in order if masks.area[index])


def owners(masks: Masks, factor: int) -> IntArray:
    """Which mask is seen at each cell of ``factor`` x ``factor`` pixels: the smallest there.

    Returns:
        (h, w) int32, NOBODY where there is no mask; a cell reads its first pixel.
    """
    shape = (-(-masks.size.height // factor), -(-masks.size.width // factor))
    seen = np.full(shape, NOBODY, np.int32)
    for index in largest_first(masks):
        x0, y0 = (int(edge) for edge in masks.boxes[index, :2])
        left, top = -(-x0 // factor), -(-y0 // factor)
        cells = masks.window(index)[top * factor - y0 :: factor, left * factor - x0 :: factor]
        seen[top : top + cells.shape[0], left : left + cells.shape[1]][cells] = index
    return seen


def _place(masks: Masks, index: int, text: str, seen: IntArray, factor: int) -> Caption | None:
    x0, y0, x1, y1 = (int(edge) for edge in masks.boxes[index])
    left, top = x0 // factor, y0 // factor
    part = seen[top : -(-y1 // factor), left : -(-x1 // factor)] == index
    padded = np.pad(part, 1).astype(np.uint8)  # the picture's edge is an edge of the mask
    row, column = innermost(padded)
    for share in SIZES:
        longest = max(masks.size.height, masks.size.width)
        size = max(SMALLEST, round(longest * SHARE * share))
        half = [side / factor / 2 for side in text_size(text, size)]
        if _fits(padded, (column, row), half):
            middle = (left + column - 0.5) * factor, (top + row - 0.5) * factor
            return Caption(text, middle, size)
    return None


def _fits(padded: IntArray, centre: tuple[int, int], half: Sequence[float]) -> bool:
    """Whether all cells around the centre, half a text each way, are the mask's."""
    (column, row), (across, down) = centre, half
    rows = range(math.floor(row - down), math.ceil(row + down) + 1)
    columns = range(math.floor(column - across), math.ceil(column + across) + 1)
    if min(rows[0], columns[0]) < 0:  # beyond the other end a slice is cut short
        return False
    room = padded[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return room.shape == (len(rows), len(columns)) and bool(room.all())


def innermost(mask: IntArray) -> tuple[int, int]:
    """Row and column farthest from the edge of a mask (h, w) uint8; midway where many are.

    >>> innermost(np.pad(np.ones((3, 9), np.uint8), 1))
    (2, 5)
    """
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    deepest = np.argwhere(distance >= distance.max() - 0.5)
    nearest = np.abs(deepest - deepest.mean(axis=0)).sum(axis=1).argmin()
    row, column = (int(at) for at in deepest[nearest])
    return row, column


def text_size(text: str, size: int) -> tuple[float, float]:
    """Width and height of a line with its rim, in pixels."""
    font, rim = ImageFont.load_default(size=size), _rim(size)
    left, _, right, _ = font.getbbox(text, stroke_width=rim)
    _, top, _, bottom = font.getbbox("0", stroke_width=rim)
    return right - left, bottom - top


def _rim(size: int) -> int:
    return max(1, round(size / 9))
