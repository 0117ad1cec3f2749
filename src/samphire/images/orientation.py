"""Which way is up: the EXIF orientation of a picture, and the turn that it asks for."""

import logging
from typing import Any

import numpy.typing as npt
from PIL import Image

logger = logging.getLogger(__name__)

_TAG = 0x0112
# What an orientation asks of stored rows and columns: (exchange them, flip rows, flip columns).
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def orientation_of(image: Image.Image, name: str) -> int:
    """What the metadata say, 1 to 8; 1 where they say nothing, nonsense, or cannot be read."""
    try:
        found: object = image.getexif().get(_TAG, 1)
    except Exception as error:  # the metadata come from outside; without them the picture is whole
        logger.info("%s: its EXIF metadata cannot be read (%s); taken as upright", name, error)
        return 1
    return found if isinstance(found, int) and found in _UPRIGHT else 1


def upright(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Rows and columns as the orientation asks; a view.

    >>> import numpy as np
    >>> upright(np.array([[1, 2], [3, 4]]), 6).tolist()
    [[3, 1], [4, 2]]
    """
    exchange, rows, columns = _UPRIGHT.get(orientation, (False, False, False))
    if exchange:
        values = values.swapaxes(0, 1)
    return values[:: -1 if rows else 1, :: -1 if columns else 1]
