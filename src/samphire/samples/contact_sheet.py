"""A contact sheet: pictures of a data set with their masks, to see at a glance what went wrong.

Shifted, inverted or swapped masks pass every check and are seen at once. Not for results, whose
page is ``samphire view``.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from samphire.arrays import ByteArray
from samphire.errors import FileFormatError, SamphireError
from samphire.geometry import Size
from samphire.images.draw import draw
from samphire.images.tiles import GAP, Tile, lay_out
from samphire.masks.resize import resize
from samphire.samples.sample import DataSet, Labelled, Sample

COLUMNS, WIDTH = 6, 1600


def contact_sheet(dataset: DataSet, count: int = 24) -> ByteArray:
    """Samples from all over the data set, their masks tinted and outlined, and their ids.

    Args:
        dataset: at least one sample; one that cannot be read is a grey tile that says why.
        count: of samples at most, evenly spaced in the data set's order, at least 1.

    Returns:
        (H, W, 3) uint8 RGB, about 1600 pixels wide, less if there are fewer samples than columns.

    Raises:
        FileFormatError: there are no samples.
        ValueError: ``count`` is below 1.
    """
    if not dataset.samples:
        raise FileFormatError(f"{dataset.name} has no samples to show")
    if count < 1:
        raise ValueError(f"count={count}: expected at least 1")
    columns = min(COLUMNS, count, len(dataset.samples))
    side = (WIDTH - GAP) // COLUMNS - GAP
    tiles = [_tile(sample, side) for sample in _spread(dataset.samples, count)]
    return lay_out(tiles, columns=columns, width=side)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most so many, the first and the last among them."""
    places = np.linspace(0, len(samples) - 1, min(count, len(samples)))
    return [samples[round(place)] for place in places]


def _tile(sample: Sample, side: int) -> Tile:
    split = f"{sample.split}, " if sample.split else ""
    try:
        labelled = sample.read()
    except (SamphireError, OSError) as error:
        return Tile(np.full((side // 2, side, 3), 225, np.uint8), sample.id, str(error), bad=True)
    objects = len(labelled.objects)
    counted = "1 object" if objects == 1 else f"{objects} objects"
    return Tile(_drawn(labelled, side), sample.id, f"{split}{counted}")


def _drawn(labelled: Labelled, side: int) -> ByteArray:
    """The picture with a longest side of ``side`` and its masks, drawn after it was resized.

    Lines that are drawn first would be too thin to be seen. Small pictures grow, their pixels as
    squares.
    """
    height, width = labelled.image.shape[:2]
    scale = side / max(height, width)
    size = Size(max(1, round(height * scale)), max(1, round(width * scale)))
    kernel = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    image = cv2.resize(labelled.image, (size.width, size.height), interpolation=kernel)
    picture = draw(image.astype(np.uint8), resize(labelled.objects, size), opacity=0.25)
    return np.asarray(picture)
