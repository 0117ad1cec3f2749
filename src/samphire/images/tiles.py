"""Small pictures in rows with words under them, as one picture: a contact sheet's paper.

Not for what is drawn on the pictures (``draw.py``), nor for figures of one size with a title above
(``draw.side_by_side``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samphire.arrays import ByteArray

GAP, LETTERS, LINE = 14, 16, 22
WHITE, BLACK, GREY, RED = (255, 255, 255), (20, 20, 20), (110, 110, 110), (190, 20, 20)


@dataclass(frozen=True, eq=False)
class Tile:
    """One small picture.

    Attributes:
        image: (h, w, 3) uint8 RGB, at most as wide as the tiles are.
        title: shortened at its front where it is too long, since names differ at their ends.
        text: shortened at its end.
        bad: the text is red.
    """

    image: ByteArray
    title: str
    text: str
    bad: bool = False


def lay_out(tiles: Sequence[Tile], *, columns: int, width: int) -> ByteArray:
    """The sheet, RGB (H, columns * (width + GAP) + GAP, 3) uint8; a row is as high as its highest.

    Args:
        tiles: at least one.
        columns: in a row.
        width: of a tile, pixels.
    """
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.image.shape[0] for tile in row) for row in rows]
    whole = sum(heights) + len(rows) * (2 * LINE + 2 * GAP) + GAP
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, whole), WHITE)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=LETTERS)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = GAP + column * (width + GAP)
            high, wide = tile.image.shape[:2]
            # at the foot of its row, so that the words are right under it
            corner = (left + (width - wide) // 2, top + height - high)
            sheet.paste(Image.fromarray(np.ascontiguousarray(tile.image)), corner)
            below = top + height + 6
            title = _fitting(tile.title, font, width, keep_end=True)
            pen.text((left, below), title, fill=BLACK, font=font)
            text = _fitting(tile.text, font, width, keep_end=False)
            colour = RED if tile.bad else GREY
            pen.text((left, below + LINE), text, fill=colour, font=font)
        top += height + 2 * LINE + 2 * GAP
    return np.asarray(sheet)


def _fitting(
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
    *,
    keep_end: bool,
) -> str:
    """The longest part of a text, in one line, that is not wider than this."""
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    for length in range(min(len(line), width), 0, -1):
        part = f"...{line[-length:]}" if keep_end else f"{line[:length]}..."
        if font.getlength(part) <= width:
            return part
    return ""
