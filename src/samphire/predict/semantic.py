"""A picture -> its classes, without prompts, by an adapter that was tuned for them.

Each pixel belongs to the class with the highest logit, the background among them; ties go to the
one that comes first. Source: Zhang and Liu 2023 (SAMed), section 3.
"""

from dataclasses import replace

import numpy as np

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.geometry import Frame
from samphire.images.read import ImageLike
from samphire.masks import Masks, rle
from samphire.predict.embed import EmbeddingStore, embed
from samphire.predict.upscale import upscale


def classify(
    engine: Engine, image: ImageEmbedding | ImageLike, *, cache: EmbeddingStore | None = None
) -> Masks:
    """One mask a class, in pixels of the original picture.

    Args:
        engine: from ``samphire.load`` with an adapter that has classes.
        image: an embedding, or a picture, which is embedded first (the slow part).
        cache: of embeddings; see :func:`samphire.embed`.

    Returns:
        Masks that do not overlap, in the order of ``engine.info.classes``, empty ones included;
        ``label`` counts the classes from 1, ``name`` is theirs.

    Raises:
        AdapterError: the engine knows no classes.
        ImageError: the picture cannot be read.
        EmbeddingMismatchError: another model made the embedding.
    """
    given = image if isinstance(image, ImageEmbedding) else embed(engine, image, cache=cache)
    logits = engine.session(given).classify()
    classes = engine.info.classes
    winner = best_class(logits, given.frame)
    labels = range(1, len(classes) + 1)
    masks = Masks.from_image_runs(
        given.frame.original, (rle.encode(winner == label) for label in labels)
    )
    return replace(masks, label=np.array(labels), name=classes)


def best_class(logits: FloatArray, frame: Frame) -> IntArray:
    """The class of each pixel.

    One class after the other is brought to the picture's size, so that no more than two maps of
    that size are held.

    Args:
        logits: (C + 1, S, S), low resolution, the background first.
        frame: of the picture.

    Returns:
        (H, W) int32, 0 for the background.
    """
    best = upscale(logits[0], frame)
    winner = np.zeros(best.shape, np.int32)
    for label in range(1, len(logits)):
        other = upscale(logits[label], frame)
        better: BoolArray = other > best
        winner[better] = label
        np.maximum(best, other, out=best)
    return winner
