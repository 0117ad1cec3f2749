"""Masks that Samphire writes come back through the readers of data sets as they were."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from samphire import save_masks
from samphire.formats import FORMATS, Picture
from samphire.images.read import read_image
from samphire.masks import Masks
from samphire.samples.find import open_data

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["coco", "coco-polygons", "labelme", "png", "label-map"])
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


@pytest.mark.parametrize("kind", ["coco", "labelme", "png", "label-map", "yolo", "table"])
def test_every_reader_gives_the_picture_that_the_model_will_be_asked_about(kind, tmp_path):
    """Upright RGB, as ``segment`` reads it: no channel or axis exchanged, in any layout."""
    pixels = np.random.default_rng(0).integers(0, 255, (9, 13, 3), np.uint8)
    pixels[0, 0] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path, exif=exif)
    upright = read_image(path)
    assert upright.shape == (13, 9, 3)
    assert upright[0, -1].tolist() == [255, 0, 0]
    mask = np.zeros((1, 13, 9), bool)
    mask[0, 2:5, 1:8] = True
    masks = dataclasses.replace(Masks.from_arrays(mask), name=("a",), label=np.array([1]))
    if kind == "table":
        Image.fromarray(mask[0]).save(tmp_path / "x_mask.png")
        (tmp_path / "list.csv").write_text("image,mask\nx.png,x_mask.png\n")
    elif kind == "yolo":
        (tmp_path / "classes.txt").write_text("zero\na\n")
        save_masks(masks, tmp_path / "x.txt", "yolo")
    else:
        suffix = FORMATS[kind].suffix
        name = "x_mask.png" if suffix == ".png" else f"x{suffix}"
        save_masks(masks, tmp_path / name, kind, picture=Picture("x.png", "x.png"))
    for _ in range(2):  # opened again, nothing has piled up
        (sample,) = open_data(tmp_path).samples
        labelled = sample.read()
        assert np.array_equal(labelled.image, upright)
        assert np.array_equal(labelled.objects.to_array(), mask)
