"""Low-resolution logits -> the masks worth keeping in the original frame, many at a time.

``upscale.reduce_mask`` says what is computed. Where numba (the extra ``fast``) is installed,
``reduce_compiled.py`` stands for it here: the same boxes, and pixels that may differ only where a
logit is within 1e-4 of a cut. ``samphire doctor`` says whether the extra is there.

Not for a single click: the first mask of a process waits for numba, see ``reduce_compiled.py``.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2
import numpy as np

from samphire.arrays import FloatArray
from samphire.errors import check_shape
from samphire.geometry import AxisWeights, Frame, resize_weights
from samphire.masks import rle
from samphire.predict.upscale import ReducedMask, reduce_mask

if TYPE_CHECKING:
    from samphire.predict.reduce_compiled import Cuts, Taps

logger = logging.getLogger(__name__)

# Pixels of a picture from which compiled code is used. Below, a mask takes less than 1 ms without
# it, so that a thousand of them hardly pay for loading numba.
SMALLEST = 256 * 256


def reduce_masks(
    logits: FloatArray,
    frame: Frame,
    *,
    threshold: float,
    stability_offset: float,
    min_stability: float,
) -> list[ReducedMask | None]:
    """Cut masks out, in the original frame.

    Args:
        logits: (K, S, S) float32, low resolution, finite.
        frame: of the picture.
        threshold: a pixel is on if its logit is above.
        stability_offset: see ``masks/scores.py``, > 0.
        min_stability: of masks that are worth keeping.

    Returns:
        K masks, None in the place of one that is less stable, or empty.

    Raises:
        ShapeError: ``logits`` are not of this shape; compiled code would read beyond them.
    """
    check_shape(logits, ("K", frame.low_res_side, frame.low_res_side), "logits")
    large = frame.original.height * frame.original.width >= SMALLEST
    taps = _taps(frame) if large and frame.averaged == "logits" and can_compile() else None
    if taps is None:
        masks = (
            reduce_mask(one, frame, threshold=threshold, stability_offset=stability_offset)
            for one in logits
        )
        return [
            mask if _stable(mask.stability, min_stability) and len(mask.runs) > 1 else None
            for mask in masks
        ]
    from samphire.predict.reduce_compiled import THREADS, Cuts  # noqa: PLC0415 - it imports numba

    low, high = threshold - stability_offset, threshold + stability_offset
    cuts = Cuts(np.float32(low), np.float32(threshold), np.float32(high))
    # Compiled code lets go of Python's lock. numba's own threads end the process where two enter.
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda one: _reduced(one, *taps, cuts, min_stability), logits))


@cache
def can_compile() -> bool:
    """Whether numba is here and works; loads it, so only ask where many masks are to be made."""
    if find_spec("numba") is None:
        return False
    try:
        import samphire.predict.reduce_compiled  # noqa: PLC0415, F401 - it imports numba
    except ImportError as error:  # a numba older than NumPy refuses it
        logger.warning("masks are made without numba, which cannot be used here: %s", error)
        return False
    return True


def _stable(stability: float, least: float) -> bool:
    """In float32, as the published code compares."""
    return bool(np.float32(stability) >= least)


def _reduced(
    logits: FloatArray, rows: "Taps", columns: "Taps", cuts: "Cuts", min_stability: float
) -> ReducedMask | None:
    """One mask (S, S) by compiled code; its runs are only written if it is worth keeping."""
    from samphire.predict.reduce_compiled import cut  # noqa: PLC0415 - it imports numba

    cells: FloatArray = np.asarray(cv2.transpose(logits), np.float32)
    pieces, inner, outer = cut(cells, rows, columns, cuts)
    stability = inner / max(outer, 1)
    if not len(pieces) or not _stable(stability, min_stability):
        return None
    x, top, bottom = pieces.T.astype(np.int64)
    x0, y0, x1, y1 = int(x[0]), int(top.min()), int(x[-1]) + 1, int(bottom.max())
    starts = (x - x0) * (y1 - y0) + top - y0
    runs = rle.from_pieces(starts, starts + bottom - top, (y1 - y0) * (x1 - x0))
    return ReducedMask(box=(x0, y0, x1, y1), runs=runs, stability=stability)


@lru_cache(maxsize=4)
def _taps(frame: Frame) -> "tuple[Taps, Taps] | None":
    """What :func:`geometry.resize_weights` says, pixel by pixel, of rows and columns.

    None if the cells that some pixel reads are too far apart for compiled code.
    """
    rows, columns = (_axis_taps(axis) for axis in resize_weights(frame))
    return None if rows is None or columns is None else (rows, columns)


def _axis_taps(axis: AxisWeights) -> "Taps | None":
    from samphire.predict.reduce_compiled import TAPS, Taps  # noqa: PLC0415 - it imports numba

    first, last = np.empty(axis.length, np.int64), np.empty(axis.length, np.int64)
    weights = np.empty((axis.length, TAPS), np.float32)
    for band in axis.bands(0, axis.length):
        used = band.weights != 0
        near = used.argmax(axis=1)
        far = used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
        first[band.pixels], last[band.pixels] = band.cells.start + near, band.cells.start + far
        cells = near[:, None] + np.arange(TAPS)
        weights[band.pixels] = np.take_along_axis(
            np.pad(band.weights, ((0, 0), (0, TAPS))), cells, axis=1
        )
    if (last - first).max() >= TAPS:
        return None
    starts = np.flatnonzero(np.diff(first, prepend=-1))
    reads = np.maximum.reduceat(last, starts) - first[starts] + 1
    return Taps(np.append(starts, axis.length), first[starts], reads, weights)
