"""Masks and prompts drawn on a picture, for people to look at.

Not for files of masks (``formats/``), nor for masks without a photo (``masks/picture.py``).
"""

import io
from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samphire.arrays import ByteArray
from samphire.errors import ImageError
from samphire.geometry import Size
from samphire.images.captions import largest_first, place_captions, write_captions
from samphire.images.read import ImageLike, image_name, read_image
from samphire.masks import Masks
from samphire.masks.colours import mask_colours
from samphire.prompts import Prompts

FOREGROUND, BACKGROUND = (40, 220, 90), (235, 50, 50)
OPACITY = 0.4
# Lines are this share of the picture's longest side, and half of it from so many masks on.
LINE_SHARE, MANY_MASKS = 1 / 400, 60
# Beside each line, so that it shows on light ground too; the line itself shows on dark.
HALO = (25, 25, 25)
# Below this longest side there is no room for it.
HALO_FROM = 200
# Holes and islands of fewer lines across are tinted only: ragged masks have hundreds of them.
SPECK = 4

Captions = Literal["none", "ids", "scores", "names"]


def draw(
    image: ImageLike,
    masks: Masks,
    prompts: Prompts | None = None,
    *,
    opacity: float = OPACITY,
    captions: Captions = "none",
) -> Image.Image:
    """The picture with each mask tinted and outlined, and the prompts that asked for it.

    Masks that overlap or nearly touch have different colours, see ``masks/colours.py``.

    Args:
        image: as ``read_image`` takes it; of the masks' size.
        masks: drawn from the largest to the smallest, so that parts stay visible.
        prompts: clicks (green the object, red background) and boxes to draw on top, if any.
        opacity: of the tint, 0 to 1.
        captions: what to write on each mask that has room for it: its number in ``masks``
            (``"ids"``), also its predicted IoU (``"scores"``), or its name (``"names"``).

    Returns:
        A Pillow image: ``.save("overlay.png")`` writes it, a notebook shows it.

    Raises:
        ImageError: the picture has another size than the masks.
        ValueError: ``captions`` is none of the four words.
    """
    if captions not in get_args(Captions):
        raise ValueError(f"captions={captions!r}: expected one of {', '.join(get_args(Captions))}")
    canvas = read_image(image).copy()
    height, width = canvas.shape[:2]
    if (height, width) != (masks.size.height, masks.size.width):
        raise ImageError(
            f"{image_name(image)} is {width}x{height}, the masks are for {masks.size}: "
            "expected the picture they were made from"
        )
    colours, order = mask_colours(masks.boxes, masks.size), list(largest_first(masks))
    for index in order:
        _tint(canvas, masks, index, colours[index], opacity)
    line, halo = line_widths(masks.size, len(order))
    for index in order:
        _outline(canvas, masks, index, colours[index], (line, halo))
    picture = Image.fromarray(canvas)
    if captions != "none":
        texts = [_caption(masks, index, captions) for index in range(len(masks))]
        write_captions(picture, place_captions(masks, texts))
    if prompts is not None:
        _draw_prompts(picture, prompts, line_widths(masks.size, 0)[0])
    return picture


def line_widths(size: Size, count: int) -> tuple[int, int]:
    """How thick the line around each of ``count`` masks is, and the halo on each side of it.

    >>> [line_widths(Size(800, 1200), 3), line_widths(Size(800, 1200), 300)]
    [(3, 1), (2, 1)]
    """
    longest = max(size.height, size.width)
    line = max(1, round(longest * LINE_SHARE / (1 + min(count / MANY_MASKS, 1))))
    return line, max(1, round(line / 3)) if longest >= HALO_FROM else 0


def encode_png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def side_by_side(
    pictures: Sequence[Image.Image], captions: Sequence[str], *, tile_width: int = 640
) -> Image.Image:
    """Pictures of one size in a row of two columns or more, each with a caption above.

    Args:
        pictures: at least one; all are shrunk to ``tile_width``.
        captions: one a picture.
        tile_width: of each picture in the result, pixels.
    """
    columns = 2 if len(pictures) % 2 == 0 else len(pictures)
    gap, band = 16, 52
    tile_height = round(pictures[0].height * tile_width / pictures[0].width)
    rows = -(-len(pictures) // columns)
    sheet = Image.new(
        "RGB",
        (columns * (tile_width + gap) + gap, rows * (tile_height + band) + gap),
        "white",
    )
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=24)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = gap + (index % columns) * (tile_width + gap)
        top = (index // columns) * (tile_height + band)
        pen.text((left, top + band / 2), caption, fill=(30, 30, 30), font=font, anchor="lm")
        tile = picture.resize((tile_width, tile_height), Image.Resampling.LANCZOS)
        sheet.paste(tile, (left, top + band))
    return sheet


def _tint(
    canvas: ByteArray, masks: Masks, index: int, colour: tuple[int, int, int], opacity: float
) -> None:
    """Blend one mask into ``canvas``, in place; only its window is touched."""
    x0, y0, x1, y1 = (int(edge) for edge in masks.boxes[index])
    inside = masks.window(index)
    window = canvas[y0:y1, x0:x1]
    mixed = np.arange(256)[:, None] * (1 - opacity) + np.array(colour) * opacity  # (256, 3)
    table = np.rint(mixed).astype(np.uint8)[None]
    np.copyto(window, cv2.LUT(window, table), where=inside[..., None])


def _outline(
    canvas: ByteArray,
    masks: Masks,
    index: int,
    colour: tuple[int, int, int],
    widths: tuple[int, int],
) -> None:
    """Draw the line around one mask and its holes, in place; a mask is never without any."""
    line, halo = widths
    outlines, _ = cv2.findContours(
        masks.window(index).astype(np.uint8),
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_SIMPLE,
        offset=(int(masks.boxes[index, 0]), int(masks.boxes[index, 1])),
    )
    across = [max(cv2.boundingRect(outline)[2:]) for outline in outlines]
    least = min(SPECK * line, max(across))
    shown = [outline for outline, side in zip(outlines, across, strict=True) if side >= least]
    if halo:
        cv2.drawContours(canvas, shown, -1, HALO, line + 2 * halo, cv2.LINE_AA)
    cv2.drawContours(canvas, shown, -1, colour, line, cv2.LINE_AA)


def _caption(masks: Masks, index: int, captions: Captions) -> str:
    if captions == "names":
        return masks.name[index]
    score = masks.predicted_iou[index]
    told = captions == "scores" and np.isfinite(score)
    return f"{index}  {score:.2f}" if told else str(index)


def _draw_prompts(picture: Image.Image, prompts: Prompts, thickness: int) -> None:
    pen = ImageDraw.Draw(picture)
    radius = 3 * thickness
    for item in prompts.objects:
        if item.box is not None:
            pen.rectangle(tuple(item.box), outline=FOREGROUND, width=thickness)
        for (x, y), label in zip(item.points, item.labels, strict=True):
            circle = (x - radius, y - radius, x + radius, y + radius)
            colour = FOREGROUND if label else BACKGROUND
            pen.ellipse(circle, fill=colour, outline="white", width=thickness)
