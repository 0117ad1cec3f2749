"""The classes of a volume: each slice by itself, one map of all slices.

Not for files of volumes (``samples/nifti.py``).
"""

from collections.abc import Callable

import numpy as np

from samphire.arrays import ByteArray
from samphire.engines.base import Engine
from samphire.errors import check_shape
from samphire.predict.embed import EmbeddingStore, embed
from samphire.predict.semantic import best_class


def classify_volume(
    engine: Engine,
    greys: ByteArray,
    *,
    cache: EmbeddingStore | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _count: None,
) -> ByteArray:
    """The class of each voxel.

    Args:
        engine: from ``samphire.load`` with an adapter that has classes.
        greys: (D, H, W) uint8, slices upright; through the window that the adapter was tuned in.
        cache: of embeddings; see :func:`samphire.embed`.
        on_progress: called with the slices that are done and those there are in all.

    Returns:
        (D, H, W) uint8: 0 the background, then the classes in the order of ``engine.info.classes``.

    Raises:
        AdapterError: the engine knows no classes.
        ShapeError: ``greys`` is no volume.
    """
    check_shape(greys, ("D", "H", "W"), "greys")
    labels = np.zeros(greys.shape, np.uint8)
    for index, plane in enumerate(greys):
        embedding = embed(engine, plane, cache=cache)
        logits = engine.session(embedding).classify()
        labels[index] = best_class(logits, embedding.frame)
        on_progress(index + 1, len(greys))
    return labels
