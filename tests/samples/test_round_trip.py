"""Masks that Samphire writes come back through the readers of data sets as they were."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from samphire import save_masks
from samphire.formats import FORMATS, Picture
from samphire.masks import Masks
from samphire.samples.find import open_data

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["coco", "coco-polygons", "labelme", "png", "label-map"])
@settings(deadline=None)
@given(blocks=arrays(np.bool_, st.tuples(st.integers(1, 3), st.just(3), st.just(4))))
def test_masks_come_back_through_the_data_set(kind, blocks, tmp_path_factory):
    """Blocks of 3x3 pixels, which overlap but in a label map; empty ones only where it has them."""
    dense = np.kron(blocks, np.ones((1, 3, 3))) > 0
    if kind == "label-map":
        dense &= np.cumsum(dense, axis=0) == 1
    if kind in ("label-map", "png"):
        dense = dense[dense.any(axis=(1, 2))]
    if not len(dense):
        return
    folder = tmp_path_factory.mktemp("data")
    Image.new("RGB", dense.shape[:0:-1]).save(folder / "x.jpg")
    masks = dataclasses.replace(
        Masks.from_arrays(dense),
        name=tuple("abc"[: len(dense)]),
        label=np.arange(1, len(dense) + 1),
    )
    save_masks(masks, folder / f"x{FORMATS[kind].suffix}", kind, picture=Picture("x.jpg", "x.jpg"))
    (sample,) = open_data(folder).samples
    read = sample.read().objects
    assert np.array_equal(read.to_array(), dense)
    if kind in ("coco", "coco-polygons", "labelme"):
        assert read.name == masks.name
        assert read.label.tolist() == masks.label.tolist()


@settings(deadline=None)
@given(corners=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5)), min_size=1, max_size=4))
def test_yolos_rings_come_back_through_the_data_set(corners, tmp_path_factory):
    dense = np.zeros((len(corners), 9, 13), bool)
    for mask, (x, y) in zip(dense, corners, strict=True):
        mask[y : y + 3, x : x + 4] = True
    folder = tmp_path_factory.mktemp("data")
    Image.new("RGB", (13, 9)).save(folder / "x.jpg")
    (folder / "classes.txt").write_text("zero\none\n")
    labels = np.arange(len(dense)) % 2
    save_masks(
        dataclasses.replace(Masks.from_arrays(dense), label=labels), folder / "x.txt", "yolo"
    )
    (sample,) = open_data(folder).samples
    assert np.array_equal(sample.read().objects.to_array(), dense)
    assert sample.read().objects.label.tolist() == (labels + 1).tolist()
