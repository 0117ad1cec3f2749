"""One picture whose objects are in mask files: what the numbers in them mean, and which are wrong.

A mask file holds one whole number a pixel, 0 for background. What others stand for:

- one number besides 0, whatever it is (1, 255): one object;
- several, where the classes have no names: each is one object, as in an instance map;
- several, where the classes have names: each is a class, counted from 1, and 255 is "ignored".

Soft edges, JPEG noise and numbers beyond the classes are refused: a threshold chosen in silence
would move every edge. Not for finding the files (``folders.py``, ``table.py``).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from samphire.arrays import BoolArray, IntArray
from samphire.errors import FileFormatError
from samphire.formats import label_map
from samphire.geometry import Size
from samphire.images.indices import read_indices
from samphire.images.read import read_image
from samphire.masks import Masks
from samphire.masks.algebra import concat
from samphire.samples.reading import CLASSES, labelled
from samphire.samples.sample import Labelled

IGNORED = 255


def read_masked(
    image: Path, masks: tuple[Path, ...], labels: tuple[int, ...], classes: tuple[str, ...]
) -> Labelled:
    """A picture and the objects of its mask files, in the files' order.

    Args:
        image: the picture.
        masks: files of its masks; objects of different files may overlap.
        labels: class of each file, from 1; empty where the numbers in the files say it.
        classes: names of the classes; empty where they are not told apart.

    Raises:
        ImageError: a picture or a mask cannot be read as one.
        FileFormatError: the numbers in a mask are not those of one, or sizes differ.
    """
    rgb = read_image(image)
    parts: list[Masks] = []
    ignored: list[BoolArray] = []
    for place, path in enumerate(masks):
        values = read_indices(path)
        if labels:
            objects = _instances(values, path.name, labels[place])
        elif classes:
            objects, ignore = _classes(values, path.name, len(classes))
            if ignore is not None:
                ignored.append(ignore)
        else:
            objects = _instances(values, path.name, 1)
        labelled(image, rgb, objects, path)
        parts.append(objects)
    joined = concat(parts)
    if classes:
        joined = replace(joined, name=tuple(classes[label - 1] for label in joined.label))
    ignore_all = np.logical_or.reduce(ignored) if ignored else None
    return Labelled(rgb, joined, ignore_all)


def _instances(values: IntArray, name: str, label: int) -> Masks:
    """Each number its own object, all of one class."""
    found = _numbers(values, name)
    if len(found) > 1:
        _check_no_ramp(values, found, name)
    return _masks(values, found, [label] * len(found))


def _classes(values: IntArray, name: str, count: int) -> tuple[Masks, BoolArray | None]:
    """Each number a class; None where nothing is ignored."""
    found = _numbers(values, name)
    if count == 1:
        if len(found) > 1 or not set(found) <= {1, IGNORED, _top(values)}:
            raise FileFormatError(
                f"{name} holds {_shown(found)} besides 0, and there is one class: expected one "
                f"number, 1 or 255 (numbers of objects? then leave out {CLASSES})"
            )
        return _masks(values, found, [1] * len(found)), None
    known = [value for value in found if value != IGNORED or value <= count]
    if not known and found:
        raise FileFormatError(
            f"{name} holds 0 and {IGNORED} alone, and there are {count} classes: expected numbers "
            f"from 1 to {count}, {IGNORED} for pixels that do not count (a mask of one object? "
            f"then give one name, and none for the background: {CLASSES})"
        )
    if known and known[-1] > count:
        raise FileFormatError(
            f"{name} holds {_shown(found)} besides 0, and there are {count} classes: expected "
            f"numbers from 1 to {count}, or {IGNORED} for pixels that do not count"
        )
    ignore = values == IGNORED if len(known) < len(found) else None
    return _masks(values, known, known), ignore


def _masks(values: IntArray, found: list[int], labels: Sequence[int]) -> Masks:
    if not found:
        return Masks.from_runs(Size(*values.shape), np.zeros((0, 4), np.int32), ())
    return replace(label_map.from_values(values, found), label=np.array(labels, np.int32))


def _numbers(values: IntArray, name: str) -> list[int]:
    """The numbers besides 0, rising."""
    found: list[int] = np.unique(values).tolist()
    if found[0] < 0:
        raise FileFormatError(f"{name} holds {found[0]}: expected no number below 0, background")
    return [value for value in found if value]


def _check_no_ramp(values: IntArray, found: list[int], name: str) -> None:
    """Refuse greys between black and white, which soft edges and lossy files leave.

    Two signs: white, the largest number of its bits, beside others; or most numbers without a
    single block of 2x2 pixels: an object has one, a step of a soft edge is a thin line.
    """
    block = (
        (values[:-1, :-1] == values[1:, :-1])
        & (values[:-1, :-1] == values[:-1, 1:])
        & (values[:-1, :-1] == values[1:, 1:])
    )
    thin = len(set(found) - set(np.unique(values[:-1, :-1][block]).tolist()))
    white = found[-1] == _top(values)
    if white or 2 * thin > len(found):
        sign = (
            f"{found[-1]}, white, among them"
            if white
            else f"{thin} of them in lines thinner than two pixels"
        )
        raise FileFormatError(
            f"{name} holds {len(found)} numbers besides 0 ({_shown(found)}), {sign}: that is a "
            "mask with soft edges, not numbers of objects (threshold it at its middle and save "
            "0 and 255; numbers of 255 objects and more need 16 bits; if these are classes and "
            f"{IGNORED} is for pixels that do not count, give {CLASSES})"
        )


def _top(values: IntArray) -> int:
    return int(np.iinfo(values.dtype).max) if values.dtype.kind in "ui" else 1


def _shown(found: list[int]) -> str:
    if len(found) <= 6:
        return ", ".join(map(str, found))
    return f"{', '.join(map(str, found[:3]))}, ..., {found[-1]}"
