"""Pictures that show the same: one that was saved again, shrunk or brightened, under another name.

Candidates are those whose difference hashes (dHash; N. Krawetz, "Kind of Like That", 2013) are
close. A hash of 64 bits cannot tell one eye's fundus from another's, so that candidates are
confirmed by what is fine in them. Not for equal files, whose bytes tell, nor for crops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from samphire.arrays import ByteArray, FloatArray, read_only

SIDE = 32
# Grey levels; below, a thumbnail shows nothing that could be compared.
FLAT = 4
# Of 64 bits. Pictures saved again differ by up to 5 where they are mostly dark.
BITS = 5
# Of 203 pictures of five sets, copies (JPEG at 50 %, half size, brighter) had 0.98 and more,
# different ones at most 0.94 (fundus photographs), most below 0.7.
ALIKE = 0.97


@dataclass(frozen=True, eq=False)
class Look:
    """What of a picture is compared.

    Attributes:
        bits: (8,) uint8, a bit for each two neighbours in a row of an 8 x 9 grid: grey rises.
        detail: (1024,) float16 of unit length, a thumbnail without what is smooth in it.
    """

    bits: ByteArray
    detail: FloatArray


def look_at(image: ByteArray) -> Look | None:
    """The look of a picture (H, W, 3) uint8, or None where it is flat."""
    thumbnail = cv2.cvtColor(
        cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    )
    if int(thumbnail.max()) - int(thumbnail.min()) < FLAT:
        return None
    grid = cv2.resize(image, (9, 8), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(grid, cv2.COLOR_RGB2GRAY)
    values = thumbnail.astype(np.float32)
    fine = values - cv2.GaussianBlur(values, (0, 0), 2.0)
    fine -= fine.mean()
    length = float(np.linalg.norm(fine))
    if not length:
        return None
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return Look(read_only(bits, np.uint8), read_only(fine.ravel() / length, np.float16))


def look_alikes(looks: Sequence[Look | None], groups: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs that show the same though they are of different groups, the smaller index first.

    Pictures of one group may look alike: neighbouring slices, frames. All pairs are compared, a
    few seconds for 50,000 pictures.

    Args:
        looks: one a picture.
        groups: one a picture.
    """
    seen = [(index, look) for index, look in enumerate(looks) if look is not None]
    if not seen:
        return []
    places = np.array([index for index, _ in seen])
    hashes = np.stack([look.bits for _, look in seen]).view(np.uint64)[:, 0]
    details = np.stack([look.detail for _, look in seen])
    _, codes = np.unique([groups[index] for index in places], return_inverse=True)
    pairs: list[tuple[int, int]] = []
    for first in range(len(seen) - 1):
        rest = slice(first + 1, None)
        close = np.bitwise_count(hashes[rest] ^ hashes[first]) <= BITS
        others = first + 1 + np.flatnonzero(close & (codes[rest] != codes[first]))
        if others.size:
            alike = details[others].astype(np.float32) @ details[first].astype(np.float32) >= ALIKE
            pairs += [(int(places[first]), int(places[other])) for other in others[alike]]
    return pairs
