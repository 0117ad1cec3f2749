"""Shapes that people draw, filled as annotation programs fill them: with Pillow.

Which pixels a polygon covers is a convention. Here corners are pixels, not places between them:
fractions are cut off, the outline belongs to the shape, and where an edge runs between pixels is
Pillow's affair. Files of programs that do so (labelme) give their own pixels only in this way. Not
for polygons along the edges of pixels (``masks/contours.py``).
"""

from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from samphire.arrays import BoolArray, FloatArray
from samphire.geometry import Size

Figure = Literal["polygon", "rectangle", "ellipse"]

# Beyond this a coordinate is a mistake, and Pillow's whole numbers overflow.
FARTHEST = 1 << 20


def fill(figure: Figure, points: FloatArray, size: Size) -> tuple[int, BoolArray]:
    """The pixels of a shape, without the rows above and below it.

    Args:
        figure: what to draw; a polygon goes by the even-odd rule.
        points: (V, 2), x and y in pixels; of a rectangle or an ellipse the upper left and the lower
            right corner of its box, both included.
        size: of the image; what lies outside is cut off.

    Returns:
        the first row, and (rows, W) bool from there on; no rows if all is outside.

    Raises:
        ValueError: a coordinate is not a number, or farther than ``FARTHEST``.

    >>> fill("rectangle", np.array([[1.0, 1.0], [2.9, 1.0]]), Size(3, 4))[1].tolist()
    [[False, True, True, False]]
    """
    if not (np.abs(points) <= FARTHEST).all():
        raise ValueError(f"coordinates that are not numbers of at most {FARTHEST} pixels")
    pixels = np.trunc(points)
    top = int(np.clip(pixels[:, 1].min(), 0, size.height))
    bottom = int(np.clip(pixels[:, 1].max() + 1, top, size.height))
    if top == bottom:
        return top, np.zeros((0, size.width), np.bool_)
    # Only rows are left out: with other x Pillow's edges would round to other pixels.
    canvas = Image.new("L", (size.width, bottom - top))
    corners = [(x, y) for x, y in (pixels - [0, top]).tolist()]
    drawn = ImageDraw.Draw(canvas)
    draw = {"polygon": drawn.polygon, "rectangle": drawn.rectangle, "ellipse": drawn.ellipse}[
        figure
    ]
    draw(corners, fill=1, outline=1)
    return top, np.asarray(canvas) != 0
