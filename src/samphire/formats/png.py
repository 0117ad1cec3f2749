"""One PNG a mask: 255 on the object, 0 elsewhere, the size of the picture.

One mask is written to ``NAME.png``, N of them to ``NAME_0.png`` to ``NAME_<N-1>.png``. Scores and
prompts are not kept: JSON keeps them. Encoded by OpenCV.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from samphire.errors import FileFormatError
from samphire.formats.format import Picture
from samphire.masks import Masks

MAX_PIXELS = 1 << 30
_COLOUR_TYPE = 25  # where the header says grey, colour or palette; 0 is grey


def paths(path: Path, count: int) -> list[Path]:
    """The files that so many masks are written to.

    >>> [made.name for made in paths(Path("dog.png"), 2)]
    ['dog_0.png', 'dog_1.png']
    """
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{index}{path.suffix}") for index in range(count)]


def encode(masks: Masks, picture: Picture) -> Iterator[bytes]:
    """The PNG of each mask, one after the other; nothing is said about the picture."""
    del picture
    for mask in masks:
        _, data = cv2.imencode(".png", mask.to_array()[0].astype(np.uint8) * 255)
        yield data.tobytes()


def read(path: Path, image: str | None = None) -> Masks:
    """One mask: whatever is not black is on.

    Args:
        path: of one of the files.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: the file is not a grey PNG of a sensible size.
    """
    del image
    data = path.read_bytes()
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or not 0 < width * height <= MAX_PIXELS:
        raise FileFormatError(f"{path} is not a PNG of at most {MAX_PIXELS} pixels")
    if (
        data[_COLOUR_TYPE : _COLOUR_TYPE + 1] != b"\0"
    ):  # by the header: colour takes four times more
        raise FileFormatError(f"{path} is not a mask: expected a grey PNG, 0 for background")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape != (height, width):
        raise FileFormatError(f"{path} is damaged: its PNG data cannot be decoded")
    return Masks.from_arrays(pixels[None])
