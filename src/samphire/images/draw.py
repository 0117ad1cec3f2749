"""Masks and prompts drawn on a picture, for people to look at.

Not for files of masks (``formats/``), nor for masks without a photo (``masks/picture.py``, which
has the colours).
"""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samphire.arrays import ByteArray
from samphire.errors import ImageError
from samphire.geometry import Size
from samphire.images.read import ImageLike, image_name, read_image
from samphire.masks import Masks
from samphire.masks.picture import PALETTE
from samphire.prompts import Prompts

FOREGROUND, BACKGROUND = (40, 220, 90), (235, 50, 50)


def draw(
    image: ImageLike, masks: Masks, prompts: Prompts | None = None, *, opacity: float = 0.5
) -> Image.Image:
    """The picture with each mask tinted and outlined, and the prompts that asked for it.

    Args:
        image: as ``read_image`` takes it; of the masks' size.
        masks: drawn from the largest to the smallest, so that parts stay visible.
        prompts: clicks (green the object, red background) and boxes to draw on top, if any.
        opacity: of the tint, 0 to 1.

    Returns:
        A Pillow image: ``.save("overlay.png")`` writes it, a notebook shows it.

    Raises:
        ImageError: the picture has another size than the masks.
    """
    canvas = read_image(image).copy()
    height, width = canvas.shape[:2]
    if (height, width) != (masks.size.height, masks.size.width):
        raise ImageError(
            f"{image_name(image)} is {width}x{height}, the masks are for {masks.size}: "
            "expected the picture they were made from"
        )
    thickness = max(2, round(max(height, width) / 400))
    for index in np.argsort(-masks.area, kind="stable"):
        _tint(canvas, masks[int(index)], PALETTE[index % len(PALETTE)], opacity, thickness)
    picture = Image.fromarray(canvas)
    if prompts is not None:
        _draw_prompts(picture, prompts, thickness)
    return picture


def encode_png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def encode_jpeg(rgb: ByteArray, quality: int = 85) -> bytes:
    """The bytes of a JPEG file of (H, W, 3) uint8."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def shrunk(rgb: ByteArray, size: Size) -> ByteArray:
    """The picture at another size, averaged; for people to look at, not for the model."""
    picture = Image.fromarray(rgb).resize((size.width, size.height), Image.Resampling.BOX)
    return np.asarray(picture)


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
    canvas: ByteArray,
    mask: Masks,
    colour: tuple[int, int, int],
    opacity: float,
    thickness: int,
) -> None:
    """Blend one mask into ``canvas``, in place; only its window is touched."""
    if not mask.area[0]:
        return
    x0, y0, x1, y1 = (int(edge) for edge in mask.boxes[0])
    inside = mask.window(0)
    window = canvas[y0:y1, x0:x1]
    tinted = window[inside] * (1 - opacity) + np.array(colour) * opacity
    window[inside] = np.rint(tinted).astype(np.uint8)
    outlines, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x0, y0)
    )
    cv2.drawContours(canvas, outlines, -1, (255, 255, 255), thickness + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, outlines, -1, colour, thickness, cv2.LINE_AA)


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
