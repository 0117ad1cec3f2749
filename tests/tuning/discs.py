"""A data set that a small model learns in seconds: bright discs, and squares for a second class."""

from functools import partial

import cv2
import numpy as np

from samphire.geometry import Size
from samphire.masks import Masks
from samphire.samples import DataSet, Labelled, Sample

SIZE = Size(48, 64)


def read(index: int, classes: int) -> Labelled:
    """Picture number ``index``: one object of each class, bright on dark noise."""
    rng = np.random.default_rng(index)
    image = rng.integers(0, 60, (SIZE.height, SIZE.width, 3), np.uint8)
    masks = np.zeros((classes, SIZE.height, SIZE.width), np.uint8)
    for label in range(classes):
        x, y = int(rng.integers(12, 52)), int(rng.integers(12, 36))
        if label == 0:
            cv2.circle(masks[label], (x, y), int(rng.integers(6, 10)), 1, -1)
        else:
            cv2.rectangle(masks[label], (x - 6, y - 6), (x + 6, y + 6), 1, -1)
            masks[label] &= 1 - masks[0]
        image[masks[label] > 0] = (230, 200, 60) if label == 0 else (60, 90, 230)
    objects = Masks.from_arrays(masks)
    columns = {"label": np.arange(1, classes + 1), "name": ("disc", "square")[:classes]}
    return Labelled(image, replace_columns(objects, columns))


def replace_columns(masks: Masks, columns: dict) -> Masks:
    from dataclasses import replace

    return replace(masks, **columns)


def discs(count: int, classes: int = 1, first: int = 0) -> tuple[Sample, ...]:
    """Samples, each a group of its own."""
    return tuple(
        Sample(f"disc-{index}", f"group-{index}", (), partial(read, index, classes))
        for index in range(first, first + count)
    )


def disc_set(classes: int = 1) -> DataSet:
    return DataSet("discs", "made in memory", discs(8, classes), ("disc", "square")[:classes])
