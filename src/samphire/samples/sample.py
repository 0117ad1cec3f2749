"""The values of this room: a picture with its objects, and how to get at one.

A :class:`Sample` is a promise, a :class:`Labelled` what reading it gives; a data set of a million
pictures is a tuple of promises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from samphire.arrays import BoolArray, ByteArray, read_only
from samphire.errors import ShapeError, check_shape
from samphire.geometry import Size
from samphire.masks import Masks

Split = Literal["train", "val", "test"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture and what is on it.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        objects: the objects, of the picture's size; ``label`` is their class, counted from 1 in
            ``DataSet.classes``, and ``name`` its name.
        ignore: (H, W) bool, pixels that count neither way; None where all count.
    """

    image: ByteArray
    objects: Masks
    ignore: BoolArray | None = None

    def __post_init__(self) -> None:
        check_shape(self.image, ("H", "W", 3), "image")
        object.__setattr__(self, "image", read_only(self.image, np.uint8))
        size = Size(*self.image.shape[:2])
        if self.objects.size != size:
            raise ShapeError(f"the objects are {self.objects.size}, their image is {size}")
        if self.ignore is not None:
            check_shape(self.ignore, (size.height, size.width), "ignore")
            object.__setattr__(self, "ignore", read_only(self.ignore, np.bool_))


@dataclass(frozen=True)
class Volume:
    """Where a slice belongs.

    Attributes:
        name: of the volume, unique in the data set.
        index: of the slice along the volume's slice axis, from 0.
        spacing: millimetres between slices, rows and columns.
    """

    name: str
    index: int
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Sample:
    """One labelled picture, not read yet.

    Attributes:
        id: unique in the data set and the same wherever the data lies: a relative path, and the
            slice if there are several.
        group: what must not be torn apart by a split: patient, volume, video, slide.
        files: all that reading it depends on, the picture first; their bytes are its identity.
        read: gives the picture and its objects; raises ``ImageError`` or ``FileFormatError`` with
            the file's name. It can be sent to another process.
        split: where the data itself says so.
        volume: of a slice; metrics are of the whole volume then.
    """

    id: str
    group: str
    files: tuple[Path, ...]
    read: Callable[[], Labelled]
    split: Split | None = None
    volume: Volume | None = None


@dataclass(frozen=True)
class DataSet:
    """Samples that belong together.

    Attributes:
        name: of its folder or file, for messages.
        layout: how it was recognised, in words: ``COCO instances``, ``image and mask folders``.
        samples: sorted by id.
        classes: names of the classes; the first is label 1. Empty where the data does not tell
            classes apart: then every object has label 1.
        notes: what was left out or decided, a sentence each.
        window: which intensities of volumes are black and white, as ``parse_window`` takes it;
            empty for pictures.
        named: what the data itself calls its classes, in their order, whatever ``classes`` call
            them; a number where it has no more than that. Empty where it says nothing.
    """

    name: str
    layout: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    window: str = ""
    named: tuple[str, ...] = ()
