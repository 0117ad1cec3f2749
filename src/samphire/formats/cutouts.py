"""Transparent cut-outs: a PNG a mask, with the photo's pixels on it and nothing around. Write only.

One mask is ``NAME.cutout.png``, N of them ``NAME.cutout_0.png`` to ``NAME.cutout_<N-1>.png``, each
as large as the mask's box.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from samphire.errors import FileFormatError
from samphire.formats.format import Picture
from samphire.masks import Masks


def encode(masks: Masks, picture: Picture) -> Iterator[bytes]:
    """The PNG of each mask; an empty one is a transparent pixel.

    Raises:
        FileFormatError: the picture's pixels are not given, or of another size.
    """
    if picture.rgb is None:
        raise FileFormatError(
            "cut-outs need the photo: give it (picture= in Python, --images on the command line)"
        )
    height, width = picture.rgb.shape[:2]
    if (height, width) != (masks.size.height, masks.size.width):
        raise FileFormatError(f"a photo of {width}x{height} for masks on {masks.size}")
    for index, (x0, y0, x1, y1) in enumerate(masks.boxes):
        cut = np.zeros((max(y1 - y0, 1), max(x1 - x0, 1), 4), np.uint8)
        if x1 > x0:
            window = masks.window(index)
            cut[window, :3] = picture.rgb[y0:y1, x0:x1, ::-1][window]  # OpenCV writes BGR
            cut[window, 3] = 255
        _, data = cv2.imencode(".png", cut)
        yield data.tobytes()
