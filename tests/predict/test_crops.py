"""Crops: the published ones, and none that is empty, twice there or outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.geometry import Size
from samphire.predict.crops import Crop, crops, near_crop_edge

DEFAULT = 512 / 1500


def test_one_layer_is_the_published_one():
    found = crops(Size(1200, 1800), 1, DEFAULT)
    assert [crop.box for crop in found] == [
        (0, 0, 1800, 1200),
        (0, 0, 1105, 805),
        (0, 396, 1105, 1200),
        (696, 0, 1800, 805),
        (696, 396, 1800, 1200),
    ]
    assert [crop.layer for crop in found] == [0, 1, 1, 1, 1]
    assert found[1].size == Size(805, 1105)


def test_each_layer_has_four_times_the_crops():
    layers = [crop.layer for crop in crops(Size(2000, 3000), 3, DEFAULT)]
    assert [layers.count(layer) for layer in range(4)] == [1, 4, 16, 64]


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    layers=st.integers(0, 4),
    overlap=st.floats(0, 0.99),
)
def test_crops_are_inside_differ_and_cover_the_image(height, width, layers, overlap):
    found = crops(Size(height, width), layers, overlap)
    assert found[0] == Crop((0, 0, width, height), 0)
    assert len({crop.box for crop in found}) == len(found)
    for crop in found:
        x0, y0, x1, y1 = crop.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height


@given(height=st.integers(80, 400), width=st.integers(80, 400), layers=st.integers(1, 3))
def test_a_layer_covers_every_pixel(height, width, layers):
    seen = np.zeros((height, width), np.bool_)
    for crop in crops(Size(height, width), layers, DEFAULT):
        if crop.layer == layers:
            x0, y0, x1, y1 = crop.box
            seen[y0:y1, x0:x1] = True
    assert seen.all()


def test_small_crops_are_left_out_but_never_the_image():
    found = crops(Size(60, 90), 2, DEFAULT, min_side=40)
    assert [crop.layer for crop in found] == [0, 1, 1, 1, 1]
    assert len(crops(Size(6, 6), 3, DEFAULT, min_side=40)) == 1


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 2.0, float("nan")])
def test_an_overlap_that_makes_no_crops_is_refused(overlap):
    with pytest.raises(ValueError, match="expected a share from 0 to below 1"):
        crops(Size(50, 50), 1, overlap)
    with pytest.raises(ValueError, match="crop_layers=-1"):
        crops(Size(50, 50), -1, 0.3)


def test_a_mask_near_an_edge_of_its_crop_is_cut_off_unless_the_image_ends_there():
    crop, size = Crop((0, 50, 100, 150), 1), Size(200, 300)
    boxes = np.array(
        [
            [30, 80, 60, 120],  # inside
            [0, 80, 60, 120],  # at the image's left edge
            [30, 71, 60, 120],  # 21 below the crop's top
            [30, 70, 60, 120],  # 20 below it
            [30, 80, 81, 120],  # its last pixel, 80, is 20 from the right edge, 100
            [30, 80, 80, 120],
        ]
    )
    expected = [False, False, False, True, True, False]
    assert near_crop_edge(boxes, crop, size, 20).tolist() == expected
    assert not near_crop_edge(boxes, Crop((0, 0, 300, 200), 0), size, 20).any()
