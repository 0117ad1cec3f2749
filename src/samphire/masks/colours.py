"""Which colour each mask gets, wherever masks are shown: overlays, notebooks, the page.

The palette is Okabe and Ito's without black, told apart by people with any of the common colour
blindnesses. Where more of its colours meet than it has, they come again lighter, then darker. Not
for drawing (``picture.py``, ``images/draw.py``).

Source: Okabe and Ito, "Color Universal Design", 2008.
"""

import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray, IntArray, read_only
from samphire.geometry import Size

PALETTE = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (0, 114, 178),
    (213, 94, 0),
)
# Share of white in the lighter colours, and of black in the darker ones.
LIGHTER, DARKER = 0.5, 0.4
COLOURS = 3 * len(PALETTE)
# Boxes that come as near as this are neighbours: pixels, and share of the picture's longest side.
NEAREST_GAP, GAP_SHARE = 4, 0.005


def rgb(number: int) -> tuple[int, int, int]:
    """A colour by its number, 0 to COLOURS - 1: the palette, then lighter, then darker.

    >>> rgb(0), rgb(7), rgb(14)
    ((86, 180, 233), (170, 218, 244), (52, 108, 140))
    """
    level, hue = divmod(number, len(PALETTE))
    end, share = ((0, 0.0), (255, LIGHTER), (0, DARKER))[level]
    red, green, blue = (round(part + (end - part) * share) for part in PALETTE[hue])
    return red, green, blue


def mask_colours(boxes: IntArray, size: Size) -> list[tuple[int, int, int]]:
    """The RGB colour of each mask of an image of this size, from their boxes.

    >>> mask_colours(np.array([[0, 0, 9, 9], [3, 3, 6, 6]]), Size(10, 10))
    [(86, 180, 233), (230, 159, 0)]
    """
    gap = max(NEAREST_GAP, round(GAP_SHARE * max(size.height, size.width)))
    return [rgb(int(number)) for number in colour_numbers(boxes, gap)]


def colour_numbers(boxes: npt.ArrayLike, gap: int = NEAREST_GAP) -> IntArray:
    """A number for each box, so that neighbours differ: greedy colouring, the largest box first.

    Each takes, of the palette's colours that none of its neighbours has, the one used least so far;
    where none is left a lighter one, then a darker one. A box that meets all of them, which needs
    as many larger ones around it, takes the one that the fewest neighbours have.

    Args:
        boxes: (N, 4) x0, y0, x1, y1, half-open; empty ones have no neighbours.
        gap: boxes with less than this between them, in pixels, are neighbours.

    Returns:
        (N,) int64 in 0 to COLOURS - 1; the same for the same boxes.

    >>> colour_numbers([[0, 0, 9, 9], [50, 0, 59, 9], [3, 3, 6, 6]]).tolist()
    [0, 1, 2]
    """
    edges = np.asarray(boxes, np.int64).reshape(-1, 4)
    numbers, used = np.full(len(edges), -1), np.zeros(COLOURS, np.int64)
    level = np.arange(COLOURS) // len(PALETTE)
    areas = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    for index in np.argsort(-areas, kind="stable"):
        around = numbers[neighbours(edges, int(index), gap)]
        taken = np.bincount(around[around >= 0], minlength=COLOURS)
        numbers[index] = np.lexsort((used, level, taken))[0]
        used[numbers[index]] += 1
    return read_only(numbers, np.int64)


def neighbours(boxes: IntArray, index: int, gap: int) -> BoolArray:
    """Which of the boxes (N, 4) have less than ``gap`` pixels to one of them, (N,) bool."""
    low, high = boxes[:, :2], boxes[:, 2:]
    near: BoolArray = np.all((low < high[index] + gap) & (low[index] < high + gap), axis=1)
    full: BoolArray = np.all(low < high, axis=1)
    near &= full & full[index]
    near[index] = False
    return near
