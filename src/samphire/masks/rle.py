"""Run lengths: a mask as the lengths of its runs, column by column, background first.

A mask (H, W) is read down its columns, left to right, and stored as counts: so many pixels off,
then so many on, off, on, ... A mask whose first pixel is on starts with a count of 0. This is the
order of COCO and pycocotools. For a mask of A pixels in C columns that is about 2 C numbers, and
area, union and intersection need no pixel.

:class:`~samphire.masks.Masks` stores the runs of the *window* (the tight box) only;
:func:`widen` and :func:`narrow` go to and from runs over the whole image.

Source: cocoapi ``common/maskApi.c`` for the order and for the compressed string.
"""

from collections.abc import Sequence

import numpy as np

from samphire.arrays import BoolArray, IntArray
from samphire.errors import FileFormatError

Box = tuple[int, int, int, int]


def encode(mask: BoolArray) -> IntArray:
    """Runs of a mask (H, W), uint32.

    >>> encode(np.array([[False, True], [True, True]])).tolist()
    [1, 3]
    """
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    start = [0] if flat.size and flat[0] else []
    return np.diff(np.concatenate([start, [0], edges, [flat.size]])).astype(np.uint32)


def join(parts: Sequence[IntArray]) -> IntArray:
    """Runs of masks of one height that lie side by side, left to right, as those of one mask.

    >>> join([np.array([1, 3]), np.array([0, 2, 2])]).tolist()
    [1, 5, 2]
    """
    edges = [np.cumsum(runs, dtype=np.int64) for runs in parts]
    ends = np.cumsum([edge[-1] for edge in edges])
    whole = [edge + end - edge[-1] for edge, end in zip(edges, ends, strict=True)]
    starts = np.concatenate([edge[0::2][: len(edge) // 2] for edge in whole])
    stops = np.concatenate([edge[1::2] for edge in whole])
    filled = stops > starts
    return _from_pieces(starts[filled], stops[filled], int(ends[-1]))


def decode(runs: IntArray, height: int, width: int) -> BoolArray:
    """The mask (H, W) of its runs.

    Raises:
        FileFormatError: the runs do not add up to height x width.
    """
    if int(runs.sum(dtype=np.int64)) != height * width:
        raise FileFormatError(
            f"run lengths add up to {int(runs.sum(dtype=np.int64))}: expected {height * width} "
            f"for a mask of {width}x{height}"
        )
    flat: BoolArray = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape((height, width), order="F")


def area(runs: IntArray) -> int:
    """How many pixels are on.

    >>> area(np.array([1, 3]))
    3
    """
    return int(runs[1::2].sum(dtype=np.int64))


def widen(runs: IntArray, box: Box, height: int, width: int) -> IntArray:
    """Runs over the whole image (height, width) from those of the window ``box``."""
    x0, y0, _, y1 = box
    starts, ends = _pieces(runs, y1 - y0)
    column = starts // max(y1 - y0, 1)
    shift = (x0 + column) * height + y0 - column * (y1 - y0)
    return _from_pieces(starts + shift, ends + shift, height * width)


def narrow(runs: IntArray, height: int) -> tuple[Box, IntArray]:
    """The tight box (half-open) and its window's runs, from runs over an image of this height."""
    starts, ends = _pieces(runs, height)
    if not len(starts):
        return (0, 0, 0, 0), np.zeros(1, np.uint32)
    columns, rows = starts // height, starts % height
    x0, y0 = int(columns.min()), int(rows.min())
    x1, y1 = int(columns.max()) + 1, int((rows + ends - starts).max())
    shift = (columns - x0) * (y1 - y0) - y0 - columns * height
    return (x0, y0, x1, y1), _from_pieces(starts + shift, ends + shift, (y1 - y0) * (x1 - x0))


def combine(left: IntArray, right: IntArray, operation: np.ufunc) -> IntArray:
    """Runs of what a function of two truth values makes of two masks, from run edges alone.

    Args:
        left: runs of a mask.
        right: runs of a mask of as many pixels, at least one, in the same frame.
        operation: ``np.logical_or`` gives the union, ``np.logical_and`` the intersection,
            ``np.greater`` what is in the left one only; off with off must be off.

    >>> combine(np.array([1, 3]), np.array([0, 2, 2]), np.greater).tolist()
    [2, 2]
    """
    near, far = np.cumsum(left, dtype=np.int64), np.cumsum(right, dtype=np.int64)
    places = np.sort(np.concatenate([[0], near[:-1], far[:-1]]))
    on = operation(
        np.searchsorted(near, places, side="right") % 2 == 1,
        np.searchsorted(far, places, side="right") % 2 == 1,
    )
    changes = np.concatenate([on[:1], on[1:] != on[:-1]])
    made: IntArray = np.diff(np.concatenate([[0], places[changes], near[-1:]])).astype(np.uint32)
    made.flags.writeable = False
    return made


def spans(runs: IntArray, height: int) -> tuple[IntArray, IntArray, IntArray]:
    """What is on, column by column: the column of each piece, its first row and one past its last.

    In order; pieces of one column do not touch, whatever runs of length zero there are.

    >>> [part.tolist() for part in spans(np.array([1, 3]), 2)]
    [[0, 1], [1, 0], [2, 2]]
    """
    starts, ends = _pieces(runs, height)
    column = starts // max(height, 1)
    apart = np.ones(len(starts) + 1, bool)
    apart[1:-1] = (starts[1:] != ends[:-1]) | (column[1:] != column[:-1])
    column = column[apart[:-1]]
    return column, starts[apart[:-1]] - column * height, ends[apart[1:]] - column * height


def from_pieces(starts: IntArray, ends: IntArray, size: int) -> IntArray:
    """Runs over ``size`` pixels of pieces that are on: not empty, in any order, they may overlap.

    >>> from_pieces(np.array([4, 1, 2]), np.array([6, 3, 4]), 9).tolist()
    [1, 5, 3]
    """
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    apart = np.ones(len(starts) + 1, bool)
    apart[1:-1] = starts[1:] > reach[:-1]
    return _from_pieces(starts[apart[:-1]], reach[apart[1:]], size)


def _pieces(runs: IntArray, height: int) -> tuple[IntArray, IntArray]:
    """Where the runs that are on start and end (exclusive), cut at the ends of columns."""
    edges = np.cumsum(runs, dtype=np.int64)
    starts, ends = edges[0::2][: len(runs) // 2], edges[1::2]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    first, last = starts // height if height else starts, (ends - 1) // height if height else ends
    parts = last - first + 1
    which = np.repeat(np.arange(len(starts)), parts)
    column = np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts) + first[which]
    return np.maximum(starts[which], column * height), np.minimum(
        ends[which], (column + 1) * height
    )


def _from_pieces(starts: IntArray, ends: IntArray, size: int) -> IntArray:
    """Runs of sorted, disjoint pieces; pieces that touch become one run."""
    apart = np.ones(len(starts) + 1, bool)
    apart[1:-1] = starts[1:] != ends[:-1]
    edges = np.empty(2 * int(apart[:-1].sum()), np.int64)
    edges[0::2], edges[1::2] = starts[apart[:-1]], ends[apart[1:]]
    tail = [size] if not len(edges) or edges[-1] < size else []
    made: IntArray = np.diff(np.concatenate([[0], edges, tail])).astype(np.uint32)
    made.flags.writeable = False  # a Masks takes it as it is, without a copy
    return made


def to_coco(runs: IntArray) -> str:
    """COCO's compressed string: each count as a difference to the last but one, 5 bits a letter.

    >>> to_coco(np.array([1, 3]))
    '13'
    """
    letters = bytearray()
    values = [int(count) for count in runs]
    for index, count in enumerate(values):
        rest = count - values[index - 2] if index > 2 else count
        more = True
        while more:
            bits = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if bits & 0x10 else 0)
            letters.append((bits | 0x20 if more else bits) + 48)
    return letters.decode("ascii")


def from_coco(text: str) -> IntArray:
    """Counts of COCO's compressed string, uint32.

    Raises:
        FileFormatError: a letter is none of the 64, the last number is cut off, or a count is
            negative or beyond 32 bits.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text.encode("utf-8", "surrogatepass"):
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 35:
            raise FileFormatError(f"{text[:40]!r} is not a COCO run-length string")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift or any(not 0 <= count < 1 << 32 for count in counts):
        raise FileFormatError(f"{text[:40]!r} is not a COCO run-length string")
    return np.array(counts, np.uint32)
