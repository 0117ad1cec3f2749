"""Objects as one map of classes, where each pixel has one: the target of semantic tuning.

Not for files of label maps (``formats/label_map.py``), where each object has a number of its own.
"""

import numpy as np

from samphire.arrays import IntArray
from samphire.errors import FileFormatError
from samphire.masks import Masks
from samphire.masks.partition import partition
from samphire.samples.sample import Labelled

IGNORE = -1


def semantic_map(labelled: Labelled, classes: int) -> IntArray:
    """The class of each pixel.

    Where objects of several classes claim a pixel the smaller object has it, and of equal ones the
    later; :func:`contested` counts such pixels. Ignored pixels are ignored, objects or not.

    Args:
        labelled: a picture's objects with labels from 1.
        classes: how many there are.

    Returns:
        (H, W) int32: 0 for background, 1 to ``classes``, -1 (:data:`IGNORE`) for pixels that count
        neither way.

    Raises:
        FileFormatError: an object's label is none of the classes.
    """
    objects = labelled.objects
    wrong = objects.label[(objects.label < 1) | (objects.label > classes)]
    if len(wrong):
        raise FileFormatError(
            f"an object has the label {wrong[0]}, and there are {classes} classes: expected 1 to "
            f"{classes} (count the classes of the data, background not among them)"
        )
    painted = _painted(objects)
    if labelled.ignore is not None:
        painted[labelled.ignore] = IGNORE
    return painted


def contested(labelled: Labelled) -> int:
    """How many pixels, ignored ones left out, objects of more than one class claim."""
    objects = labelled.objects
    claims = np.zeros((objects.size.height, objects.size.width), np.int32)
    for label in np.unique(objects.label):
        claims += _painted(objects[objects.label == label]) != 0
    counted = claims > 1
    return int(np.count_nonzero(counted if labelled.ignore is None else counted & ~labelled.ignore))


def _painted(objects: Masks) -> IntArray:
    """Labels, (H, W) int32, the large objects painted first."""
    label_of = np.concatenate([[0], objects.label]).astype(np.int32)
    painted: IntArray = label_of[partition(objects)]
    return painted
