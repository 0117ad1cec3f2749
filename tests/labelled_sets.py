"""Data sets for tests, without the readers: pictures made on the spot, and the real ones."""

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from samphire.masks import Masks
from samphire.samples import DataSet, Labelled, Sample


def picture(seed, size=(60, 80)):
    """A picture that is like no other: blobs of colour."""
    noise = np.random.default_rng(seed).random((*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def masks(*boxes, size=(60, 80), labels=None):
    """One rectangle an object: x0, y0, x1, y1."""
    dense = np.zeros((len(boxes), *size), bool)
    for mask, (x0, y0, x1, y1) in zip(dense, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    given = Masks.from_arrays(dense)
    return replace(given, label=np.array(labels if labels is not None else [1] * len(boxes), int))


def given(labelled):
    if isinstance(labelled, Exception):
        raise labelled
    return labelled


def sample(name, labelled=None, *, group=None, split=None, volume=None):
    """Reading it gives this, or raises it; by default a picture of its own with one object."""
    if labelled is None:
        labelled = Labelled(picture(sum(name.encode())), masks((10, 10, 40, 40)))
    return Sample(name, group or name, (Path(name),), partial(given, labelled), split, volume)


def made(*samples, classes=()):
    return DataSet("set", "made", tuple(samples), classes)


def read_pair(image, mask, *, numbered):
    values = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    kinds = [int(value) for value in np.unique(values) if value] if numbered else [255]
    dense = np.stack([values == kind for kind in kinds])
    rgb = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
    objects = Masks.from_arrays(dense)
    return Labelled(rgb, replace(objects, label=np.ones(len(dense), int)))


def real(folder, *, numbered=False):
    """A folder of the sample data with its split.csv; ``numbered``: value k is the k-th object."""
    with (folder / "split.csv").open(encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    return DataSet(
        folder.name,
        "split.csv",
        tuple(
            Sample(
                name,
                row["group"],
                (folder / row["image"], folder / row["mask"]),
                partial(read_pair, folder / row["image"], folder / row["mask"], numbered=numbered),
                row["split"],
            )
            for name, row in sorted(rows.items())
        ),
    )
