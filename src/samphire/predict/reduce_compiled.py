"""One mask cut out of low-resolution logits, compiled: what ``reduce.py`` runs where numba is.

Not for anybody to read first: ``upscale.reduce_mask`` is the plain sibling that gives the same.

A pixel is a weighted mean of few cells, so it lies between the smallest and the largest of them.
Pixels that read the same cells make a block, 7 x 7 of them for a picture of 1800 x 1200; where all
cells of a block are on one side of every cut, so are its pixels, and none of them is computed.
What is left lies along outlines. There the cells are mixed along y first, once for all columns of
pixels in a block, so that a column of pixels is a sum of lines that are contiguous in memory.

Measured with vit_t's logits, processor time a mask: 6.0 -> 0.85 ms for a photo of 1800 x 1200, and
31 -> 3.5 for one of 16 megapixels. Boxes and runs of 621 and 71 masks were the same, stabilities
within 2e-7; pixels may differ where a logit is within 1e-4 of a cut. Importing this file imports
numba: 0.2 s, 63 MB. The first mask takes 0.3 s and 72 MB more; once on a machine it takes 7 s and
155 MB, to compile.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np

from samphire.arrays import FloatArray, IntArray

Function = TypeVar("Function", bound=Callable[..., object])

# Processors that this process may use, or what NUMBA_NUM_THREADS says.
THREADS: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # made at run time
# Cells that a pixel reads along one axis, at most.
TAPS = 4
# What is known of a block; what is off is left out, so it has no name beyond this file.
OFF, ABOVE_LOW, MIXED, ON, ABOVE_HIGH = range(5)


class Taps(NamedTuple):
    """Which cells the pixels of one axis read; a tuple, as numba knows those.

    Pixels that begin to read at the same cell lie together and make a group.

    Attributes:
        edges: (G + 1,) int64, the pixels of group g are those from ``edges[g]`` on.
        first: (G,) int64, the first cell that a group reads.
        reads: (G,) int64, how many cells in a row it reads, at most ``TAPS``.
        weights: (P, TAPS) float32, of each pixel; 0 beyond ``reads``.
    """

    edges: IntArray
    first: IntArray
    reads: IntArray
    weights: FloatArray


class Cuts(NamedTuple):
    """Logits, float32; a pixel is above one if its logit is larger.

    Attributes:
        low: threshold - stability offset.
        threshold: above it a pixel is on.
        high: threshold + stability offset.
    """

    low: np.float32
    threshold: np.float32
    high: np.float32


def compiled(function: Function) -> Function:
    """The function as machine code, kept on disk where there is a place for it.

    That is beside this file, or else numba's folder in the user's cache (``NUMBA_CACHE_DIR``).
    """
    try:
        made = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither can be written: compiled anew in each process
        made = numba.njit(nogil=True)(function)
    return cast("Function", made)


@compiled
def cut(cells: FloatArray, rows: Taps, columns: Taps, cuts: Cuts) -> tuple[IntArray, int, int]:
    """Where a mask is on, and how many pixels are above the two other cuts.

    Args:
        cells: (S, S) float32 logits, transposed and contiguous: ``cells[x, y]``.
        rows: of the picture.
        columns: of the picture.
        cuts: see there.

    Returns:
        pieces (N, 3) int32: column, first row and one past the last, in COCO's order, those of one
        column apart; then the pixels above ``high``, and those above ``low``.
    """
    height = len(rows.weights)
    least, most = np.empty(cells.shape[1], np.float32), np.empty(cells.shape[1], np.float32)
    mixed, line = np.zeros((TAPS, height), np.float32), np.empty(height, np.float32)
    segments = np.empty((len(rows.first), 3), np.int64)
    pieces: IntArray = np.empty((height + 1024, 3), np.int32)
    used = 0
    inner = outer = 0
    for group in range(len(columns.first)):
        first, count = columns.first[group], columns.reads[group]
        _bounds(cells, first, count, least, most)
        found = _segments(least, most, rows, cuts, segments) if _any_above(most, cuts.low) else 0
        _mix_rows(cells, first, count, rows, segments[:found], mixed)
        for x in range(columns.edges[group], columns.edges[group + 1] if found else 0):
            if used + height > len(pieces):
                pieces = _longer(pieces, 2 * used + height)
            for index in range(found):
                kind = segments[index, 2]
                top, bottom = rows.edges[segments[index, 0]], rows.edges[segments[index, 1]]
                if kind == MIXED:
                    sure, on, likely = _line(mixed, columns.weights[x], top, bottom, cuts, line)
                else:
                    sure = bottom - top if kind == ABOVE_HIGH else 0
                    on = bottom - top if kind >= ON else 0
                    likely = bottom - top
                inner += sure
                outer += likely
                if on == bottom - top:
                    used = _append(pieces, used, x, top, bottom)
                elif on:
                    used = _append_line(pieces, used, x, top, bottom, line, cuts.threshold)
    return pieces[:used], inner, outer


@compiled
def _bounds(cells: FloatArray, first: int, count: int, least: FloatArray, most: FloatArray) -> None:
    """The smallest and the largest of some neighbouring columns of cells, row by row."""
    least[:] = cells[first]
    most[:] = cells[first]
    for tap in range(first + 1, first + count):
        for row in range(len(least)):
            cell = cells[tap, row]
            least[row] = cell if cell < least[row] else least[row]
            most[row] = cell if cell > most[row] else most[row]


@compiled
def _any_above(cells: FloatArray, level: np.float32) -> bool:
    found = 0
    for row in range(len(cells)):
        found += cells[row] > level
    return found > 0


@compiled
def _segments(
    least: FloatArray, most: FloatArray, rows: Taps, cuts: Cuts, segments: IntArray
) -> int:
    """Groups of rows, one below the other, of which the same is known; not those that are off.

    Written into ``segments``: the first group, one past the last, what is known. Returns how many.
    """
    found, before = 0, OFF
    for group in range(len(rows.first)):
        first = rows.first[group]
        smallest, largest = least[first], most[first]
        for row in range(first + 1, first + rows.reads[group]):
            smallest = least[row] if least[row] < smallest else smallest
            largest = most[row] if most[row] > largest else largest
        if largest <= cuts.low:
            kind = OFF
        elif smallest > cuts.high:
            kind = ABOVE_HIGH
        elif smallest > cuts.threshold and largest <= cuts.high:
            kind = ON
        elif smallest > cuts.low and largest <= cuts.threshold:
            kind = ABOVE_LOW
        else:
            kind = MIXED
        if kind != OFF:
            if kind != before:
                segments[found, 0], segments[found, 2] = group, kind
                found += 1
            segments[found - 1, 1] = group + 1
        before = kind
    return found


@compiled
def _mix_rows(
    cells: FloatArray, first: int, count: int, rows: Taps, segments: IntArray, mixed: FloatArray
) -> None:
    """Columns of cells at every row of the picture that no segment decides, into ``mixed``."""
    for index in range(len(segments)):
        if segments[index, 2] != MIXED:
            continue
        for tap in range(count):
            column = cells[first + tap]
            for group in range(segments[index, 0], segments[index, 1]):
                cell, reads = rows.first[group], rows.reads[group]
                for y in range(rows.edges[group], rows.edges[group + 1]):
                    value = rows.weights[y, 0] * column[cell]
                    for row in range(1, reads):
                        value += rows.weights[y, row] * column[cell + row]
                    mixed[tap, y] = value


@compiled
def _line(
    mixed: FloatArray, weights: FloatArray, top: int, bottom: int, cuts: Cuts, line: FloatArray
) -> tuple[int, int, int]:
    """Logits of a column of pixels, into ``line``; how many are above each cut, highest first."""
    one, two, three, four = (
        mixed[0, top:bottom],
        mixed[1, top:bottom],
        mixed[2, top:bottom],
        mixed[3, top:bottom],
    )
    logits = line[top:bottom]
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    sure = on = likely = 0
    for y in range(len(logits)):  # counted from 0, or it does not become vector instructions
        logit = a * one[y] + b * two[y] + c * three[y] + d * four[y]
        logits[y] = logit
        sure += logit > cuts.high
        on += logit > cuts.threshold
        likely += logit > cuts.low
    return sure, on, likely


@compiled
def _append_line(
    pieces: IntArray,
    used: int,
    x: int,
    top: int,
    bottom: int,
    line: FloatArray,
    threshold: np.float32,
) -> int:
    """Add where a line is on; returns how many pieces there are."""
    begin = -1
    for y in range(top, bottom):
        if line[y] > threshold:
            if begin < 0:
                begin = y
        elif begin >= 0:
            used = _append(pieces, used, x, begin, y)
            begin = -1
    return used if begin < 0 else _append(pieces, used, x, begin, bottom)


@compiled
def _append(pieces: IntArray, used: int, x: int, top: int, bottom: int) -> int:
    """Add a piece, or lengthen the one that it continues; returns how many there are."""
    if used > 0 and pieces[used - 1, 0] == x and pieces[used - 1, 2] == top:
        pieces[used - 1, 2] = bottom
        return used
    pieces[used, 0], pieces[used, 1], pieces[used, 2] = x, top, bottom
    return used + 1


@compiled
def _longer(pieces: IntArray, length: int) -> IntArray:
    longer = np.empty((length, 3), np.int32)
    longer[: len(pieces)] = pieces
    return longer
