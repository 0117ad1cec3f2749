"""The prompts of everything mode: points in even rows and columns.

Source: Kirillov et al. 2023, appendix B; segment-anything ``utils/amg.py``.
"""

import numpy as np

from samphire.arrays import FloatArray


def point_grid(per_side: int) -> FloatArray:
    """Points at the centres of equal cells, as shares of width and height.

    Args:
        per_side: points in a row, and rows, at least 1.

    Returns:
        (per_side², 2) float64, x and y in (0, 1), row by row.

    Raises:
        ValueError: ``per_side`` is below 1.

    >>> point_grid(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    if per_side < 1:
        raise ValueError(f"points_per_side={per_side}: expected at least 1")
    margin = 1 / (2 * per_side)
    centres = np.linspace(margin, 1 - margin, per_side)
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def layer_grids(per_side: int, layers: int, downscale: float) -> tuple[FloatArray, ...]:
    """The grid of the whole image and of each layer of crops.

    Args:
        per_side: points in a row for the whole image.
        layers: of crops below it.
        downscale: each layer has so many times fewer points in a row than the one above; never
            fewer than one.

    Returns:
        ``layers + 1`` grids, see :func:`point_grid`.
    """
    counts = [max(1, int(per_side / downscale**layer)) for layer in range(1, layers + 1)]
    return tuple(point_grid(count) for count in (per_side, *counts))


def coarse_to_fine(points: FloatArray) -> tuple[FloatArray, ...]:
    """A grid's points in two rounds: every second of every second row, then the rest.

    So the second round can leave out what masks of the first have covered, and a large object is
    asked for less often.

    Args:
        points: (P, 2), from :func:`point_grid`; other points are one round.

    Returns:
        the same points, each in one round; no round is empty.
    """
    per_side = int(np.sqrt(len(points)))
    if per_side**2 != len(points):
        return (points,)
    row, column = np.divmod(np.arange(len(points)), per_side)
    early = (row % 2 == 1) & (column % 2 == 1)
    return tuple(chosen for chosen in (points[early], points[~early]) if len(chosen))
