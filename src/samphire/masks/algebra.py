"""Masks of masks: joined into one list, united, cut with each other.

Pixels are never looked at: run lengths over the image are merged where they start and end
(``rle.combine``), so a pair costs as much as its outlines are long. Not for how much masks overlap
(``overlap.py``), nor for the connected parts of one (``regions.py``).
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from samphire.arrays import IntArray
from samphire.geometry import Size
from samphire.masks import rle
from samphire.masks.masks import Masks

# Columns that are not simply put one after the other.
_APART = {"size", "runs", "parent", "name"}


def concat(parts: Sequence[Masks]) -> Masks:
    """All masks of some Masks on one image, in order; ``parent`` follows to the new places.

    Raises:
        ValueError: there is no part, or two of them are on images of different sizes.

    >>> one = Masks.from_arrays(np.ones((1, 2, 3)))
    >>> concat([one, one])
    Masks(2 on 3x2)
    """
    if not parts:
        raise ValueError("there are no masks to join: expected at least one Masks, it may be empty")
    for part in parts:
        _check_sizes(parts[0].size, part.size)
    starts = np.cumsum([0, *map(len, parts)])
    parents = [
        np.where(part.parent < 0, part.parent, part.parent + start)
        for part, start in zip(parts, starts[:-1], strict=True)
    ]
    columns: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Masks)
        if field.name not in _APART
    }
    return Masks(
        size=parts[0].size,
        runs=tuple(runs for part in parts for runs in part.runs),
        parent=np.concatenate(parents),
        name=tuple(name for part in parts for name in part.name),
        **columns,
    )


def union(left: Masks, right: Masks) -> Masks:
    """The pixels of each left mask, and those of its partner on the right.

    Args:
        left: N masks; their columns, scores included, are kept, and ``edited`` becomes True.
        right: as many, or one that serves all.

    Raises:
        ValueError: the images have different sizes, or the numbers of masks do not fit.
    """
    return _combined(left, right, np.logical_or)


def intersection(left: Masks, right: Masks) -> Masks:
    """The pixels of each left mask that its partner on the right has, too.

    Arguments, columns and errors as for :func:`union`.
    """
    return _combined(left, right, np.logical_and)


def difference(left: Masks, right: Masks) -> Masks:
    """The pixels of each left mask that its partner on the right does not have.

    Arguments, columns and errors as for :func:`union`.
    """
    return _combined(left, right, np.greater)


def union_all(masks: Masks) -> Masks:
    """One mask of the pixels of all; an empty one of none.

    Its other columns say "none", save that it is ``edited``: no model made it.
    """
    runs = _united(masks, 0, len(masks)) if len(masks) else _nothing(masks.size)
    return replace(Masks.from_image_runs(masks.size, [runs]), edited=np.ones(1, np.bool_))


def _combined(left: Masks, right: Masks, operation: np.ufunc) -> Masks:
    _check_sizes(left.size, right.size)
    if len(right) not in {1, len(left)}:
        raise ValueError(
            f"{len(left)} masks with {len(right)} masks: expected as many, or one that serves all"
        )
    only = right.image_runs(0) if len(right) == 1 else None
    made = Masks.from_image_runs(
        left.size,
        (
            rle.combine(
                left.image_runs(index),
                right.image_runs(index) if only is None else only,
                operation,
            )
            for index in range(len(left))
        ),
    )
    return replace(left, boxes=made.boxes, runs=made.runs, edited=np.ones(len(left), np.bool_))


def _united(masks: Masks, first: int, stop: int) -> IntArray:
    """Runs of the union of some masks, at least one.

    By halves: adding mask after mask would go through all that is already united each time.
    """
    if stop - first == 1:
        return masks.image_runs(first)
    middle = (first + stop) // 2
    halves = _united(masks, first, middle), _united(masks, middle, stop)
    return rle.combine(*halves, np.logical_or)


def _nothing(size: Size) -> IntArray:
    return np.array([size.height * size.width], np.uint32)


def _check_sizes(left: Size, right: Size) -> None:
    if left != right:
        raise ValueError(
            f"masks on {left} and on {right}: expected masks on images of one size "
            "(masks.resize brings them to one)"
        )
