"""Which mask is a part of which: a person, her coat, its button.

Not how much masks overlap (``overlap.py``). Source: Kirillov et al. 2023, whose three answers to an
ambiguous prompt are whole, part and subpart (section 3).
"""

from dataclasses import replace

import numpy as np

from samphire.arrays import IntArray
from samphire.masks import overlap
from samphire.masks.masks import Masks


def hierarchy(masks: Masks, *, containment: float = 0.9) -> Masks:
    """The same masks, each with its ``parent``: the smallest larger mask that holds it.

    Of masks of one area the earlier counts as the larger, so equal masks become a chain and no mask
    is a part of itself, by whatever way around. An empty mask has no parent.

    Args:
        masks: N masks; what ``parent`` says so far does not matter.
        containment: the share of a mask's pixels that its parent has at least, above 0, at most 1.

    Raises:
        ValueError: the share is out of range.

    >>> nested = Masks.from_arrays([[[1, 0, 0]], [[1, 1, 1]], [[1, 1, 0]]])
    >>> hierarchy(nested).parent.tolist()
    [2, -1, 1]
    """
    if not 0 < containment <= 1:
        raise ValueError(f"containment is {containment}: expected a share above 0 and at most 1")
    order = np.lexsort((np.arange(len(masks)), -masks.area))  # the largest first
    ranked = masks[order]
    held = np.tril(overlap.containment(ranked, ranked) >= containment, k=-1)
    # The last that holds it is the smallest: look from the end.
    last = len(masks) - 1 - np.argmax(held[:, ::-1], axis=1) if len(masks) else order
    parent = np.full(len(masks), -1)
    parent[order] = np.where(held.any(axis=1), order[last], -1)
    return replace(masks, parent=parent)


def levels(masks: Masks) -> IntArray:
    """How deep each mask lies by ``parent``, (N,) int64: 0 a whole, 1 a part, 2 a subpart, ...

    Raises:
        ValueError: ``parent`` goes in a circle.

    >>> nested = Masks.from_arrays([[[1, 0, 0]], [[1, 1, 1]], [[1, 1, 0]]])
    >>> levels(hierarchy(nested)).tolist()
    [2, 0, 1]
    """
    parent, count = masks.parent, len(masks)
    depth, above = np.zeros(count, np.int64), parent
    while (above >= 0).any():
        depth += above >= 0
        if depth.max() >= count:
            raise ValueError(
                "masks are parts of each other in a circle: expected a whole at the end of each "
                "chain of parents (samphire.masks.hierarchy finds parents)"
            )
        above = np.where(above >= 0, parent[above], -1)
    return depth
