"""What is remembered of a sample once it was read: enough for every check, without its pixels."""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import IntArray, read_only
from samphire.geometry import Size
from samphire.images.read import pixels_id
from samphire.samples.look_alikes import Look, look_at
from samphire.samples.sample import Labelled, Sample


@dataclass(frozen=True, eq=False)
class Facts:
    """One sample.

    Attributes:
        sample: the promise; it is not read again.
        size: of the picture.
        pixels: SHA-256 of the pixels.
        look: for finding look-alikes; None where the picture is flat.
        blank: every pixel is the same.
        ignored: no pixel counts.
        label: (N,) int32, of each object.
        area: (N,) int64, of each object, pixels.
        side: (N,) int64, the longer side of each object's box, pixels.
    """

    sample: Sample
    size: Size
    pixels: str
    look: Look | None
    blank: bool
    ignored: bool
    label: IntArray
    area: IntArray
    side: IntArray


def facts_of(sample: Sample, labelled: Labelled) -> Facts:
    """What there is to know of a sample that was read."""
    boxes = labelled.objects.boxes.astype(np.int64)
    image = labelled.image
    return Facts(
        sample=sample,
        size=labelled.objects.size,
        pixels=pixels_id(image),
        look=look_at(image),
        blank=bool((image == image[0, 0]).all()),
        ignored=labelled.ignore is not None and bool(labelled.ignore.all()),
        label=labelled.objects.label,
        area=labelled.objects.area,
        side=read_only((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0), np.int64),
    )
