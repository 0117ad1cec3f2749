"""The prompts of everything mode: points in even rows and columns, or where the image differs.

Source of the grids: Kirillov et al. 2023, appendix B; segment-anything ``utils/amg.py``.
"""

import math

import numpy as np

from samphire.arrays import FloatArray
from samphire.embedding import ImageEmbedding


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


def unlike_points(embedding: ImageEmbedding, count: int) -> FloatArray:
    """Points on the cells of an embedding that are least like each other.

    Farthest first: each point is the cell whose vector points farthest away from those of all
    before it; the first is that farthest from their mean. So a large even surface gets fewer points
    than a grid has on it, and small things that look odd get theirs. Source: Gonzalez 1985,
    "Clustering to minimize the maximum intercluster distance".

    Args:
        embedding: of the image, or of a part of it.
        count: points, at least 1; there are no more than cells on the image.

    Returns:
        (count, 2) float64, x and y in (0, 1), as shares of width and height, row by row.
    """
    frame = embedding.frame
    stride = frame.input_side / embedding.features.shape[-1]
    height = math.ceil(frame.resized.height / stride)
    width = math.ceil(frame.resized.width / stride)
    cells = embedding.features[0, :, :height, :width].reshape(-1, height * width).T
    unit = cells / np.maximum(np.linalg.norm(cells, axis=1, keepdims=True), np.float32(1e-12))
    likeness = unit @ unit.mean(axis=0)  # to the most similar of those before
    chosen: list[int] = []
    while len(chosen) < min(count, len(unit)):
        chosen.append(int(np.argmin(likeness)))
        to_this = unit @ unit[chosen[-1]]
        likeness = to_this if len(chosen) == 1 else np.maximum(likeness, to_this)
        likeness[chosen[-1]] = np.inf
    y, x = np.divmod(np.sort(chosen), width)
    begin = np.stack([x, y], axis=1) * stride
    resized = np.array([frame.resized.width, frame.resized.height])
    centres = (begin + np.minimum(begin + stride, resized)) / 2  # the last may end with the picture
    shares: FloatArray = centres / resized
    return shares
