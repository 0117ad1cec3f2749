"""Small labelled volumes on disk, for tests of what is done with them."""

import csv

import numpy as np
import pytest

SPLIT = {"a": "train", "b": "train", "c": "val", "d": "test"}
# Slices with an object, of 6: a block and a single voxel.
SHOWN, SPECK = (2, 3), 4
HIGH = 1000


def write_volumes(folder, *, label=1):
    """Four volumes of 6 slices of 24 x 20 in a ``split.csv``; objects brighter than the rest."""
    nibabel = pytest.importorskip("nibabel")
    rows = [["id", "image", "mask", "split", "group"]]
    for seed, (name, split) in enumerate(SPLIT.items()):
        rng = np.random.default_rng(seed)
        labels = np.zeros((20, 24, 6), np.uint8)
        labels[4 + seed : 12, 6:15, SHOWN] = label
        labels[10, 10, SPECK] = label
        values = rng.integers(1, 200, labels.shape, np.int16) + HIGH * (labels > 0)
        row = [name]
        for kind, voxels in (("images", values.astype(np.int16)), ("labels", labels)):
            path = folder / kind / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0])).to_filename(path)
            row.append(f"{kind}/{name}.nii.gz")
        rows.append([*row, split, name])
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder
