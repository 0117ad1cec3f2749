"""YOLO and GeoJSON: polygons that give the mask back, and what they cannot hold."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from formats.test_masks_json import any_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from samphire import load_masks, save_masks
from samphire.errors import FileFormatError
from samphire.formats import Picture, geojson, yolo
from samphire.masks import Masks
from samphire.masks.regions import fill_holes


@pytest.mark.slow
@given(masks=any_masks())
def test_geojson_keeps_every_column(masks, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "it.geojson"
    path.write_bytes(geojson.encode(masks, Picture())[0])
    assert geojson.read(path).equal(masks)


def ring_area(ring):
    x, y = np.array(ring, float).T
    return (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2


def test_geojson_is_as_the_standard_has_it():
    dense = np.zeros((3, 20, 30), np.bool_)
    dense[0, 2:8, 3:9] = True
    dense[1, 1:12, 1:12] = dense[1, 15:18, 20:25] = True
    dense[1, 4:6, 4:7] = False
    document = json.loads(geojson.encode(Masks.from_arrays(dense), Picture("a.jpg"))[0])
    assert document["type"] == "FeatureCollection"
    assert document["image"] == {"width": 30, "height": 20, "file_name": "a.jpg"}
    one, two, none = (feature["geometry"] for feature in document["features"])
    assert one == {"type": "Polygon", "coordinates": [[[3, 2], [9, 2], [9, 8], [3, 8], [3, 2]]]}
    assert none is None
    assert two["type"] == "MultiPolygon"
    outer, hole = two["coordinates"][0]
    assert outer[0] == outer[-1]
    assert (ring_area(outer), ring_area(hole)) == (121, -6)  # counter-clockwise, clockwise
    assert ring_area(two["coordinates"][1][0]) == 15


def test_geojson_of_others_needs_a_size_and_polygons(tmp_path):
    path = tmp_path / "it.geojson"
    square = {"type": "Polygon", "coordinates": [[[1, 1], [4, 1], [4, 4], [1, 4], [1, 1]]]}
    feature = {"type": "Feature", "geometry": square, "properties": None}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(FileFormatError, match=r"it\.geojson holds no member"):
        load_masks(path)
    document = {"image": {"width": 5, "height": 5}, "features": [feature]}
    path.write_text(json.dumps(document))
    assert load_masks(path).area.tolist() == [9]
    del square["coordinates"][0][-1]  # a ring that is left open has no corner less
    path.write_text(json.dumps(document))
    assert load_masks(path).area.tolist() == [9]
    feature["geometry"] = {"type": "Point", "coordinates": [1, 1]}
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match="a Point: expected Polygon"):
        load_masks(path)


@pytest.mark.slow
@given(masks=any_masks())
def test_yolo_keeps_all_pixels_but_holes_and_the_class(masks, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "it.txt"
    path.write_bytes(yolo.encode(masks, Picture())[0])
    solid = masks[masks.area > 0]
    found = yolo.read(path, f"{masks.size}")
    expected = fill_holes(solid, 10**6)
    holes = (expected.area > solid.area).any()
    np.testing.assert_array_equal(found.to_array(), expected.to_array())
    np.testing.assert_array_equal(found.label, solid.label)
    assert bool(yolo.losses(masks)) == bool(
        holes
        or len(solid) < len(masks)
        or any(masks.name)
        or np.isfinite([masks.predicted_iou, masks.stability]).any()
    )


def test_an_island_in_a_hole_is_filled_with_it(tmp_path):
    dense = np.ones((1, 9, 9), np.bool_)
    dense[0, 2:7, 2:7] = False
    dense[0, 4, 4] = True
    path = tmp_path / "it.txt"
    save_masks(Masks.from_arrays(dense), path)
    assert load_masks(path, image="9x9").area.tolist() == [81]


def test_yolo_counts_the_scores_that_it_loses():
    masks = Masks.from_arrays(np.ones((3, 4, 4)))
    assert yolo.losses(masks) == ()
    scored = dataclasses.replace(
        masks, predicted_iou=[0.5, np.nan, np.nan], stability=[1, 1, np.nan]
    )
    assert yolo.losses(scored) == ("2 masks with a score, which YOLO has no place for",)


@pytest.mark.slow
@settings(max_examples=15)
@given(width=st.integers(1000, 20000), height=st.integers(1000, 20000), seed=st.integers(0, 99))
def test_yolos_shares_are_fine_enough_for_large_pictures(width, height, seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, [width - 50, height - 50])
    box = [x, y, x + 40, y + 30]
    masks = Masks.from_runs(
        dataclasses.replace(Masks.from_arrays(np.ones((1, 1, 1))).size, height=height, width=width),
        [box],
        (np.array([0, 1200], np.uint32),),
    )
    path = tmp_path_factory.getbasetemp() / "large.txt"
    path.write_bytes(yolo.encode(masks, Picture())[0])
    assert yolo.read(path, f"{width}x{height}").boxes.tolist() == [box]


def test_yolo_joins_parts_says_losses_and_is_what_others_fill(tmp_path):
    dense = np.zeros((4, 30, 40), np.bool_)
    dense[0, 2:12, 3:15] = True
    dense[1, 2:6, 2:6] = dense[1, 20:28, 30:38] = True
    dense[2] = dense[0]
    dense[2, 5:7, 5:7] = False
    masks = dataclasses.replace(Masks.from_arrays(dense), label=np.array([0, 3, 1, 2]))
    assert yolo.losses(masks) == (
        "1 mask with holes, which YOLO cannot hold: they are filled",
        "1 empty mask, which YOLO has no line for",
    )
    lines = yolo.encode(masks, Picture())[0].decode().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "3", "1"]
    shares = np.array(lines[0].split()[1:], float).reshape(-1, 2)
    assert ((shares >= 0) & (shares <= 1)).all()
    polygon = np.rint(shares * [40, 30]).astype(np.int32)
    # OpenCV fills borders, too: one pixel more to the right and below
    there = cv2.fillPoly(np.zeros((30, 40), np.uint8), [polygon], 1)
    assert there[2:12, 3:15].all()
    assert there.sum() == 11 * 13
    path = tmp_path / "it.txt"
    save_masks(masks, path)
    Image.new("RGB", (40, 30)).save(tmp_path / "it.png")
    assert load_masks(path, image=str(tmp_path / "it.png")).area.tolist() == [120, 80, 120]
    with pytest.raises(FileFormatError, match="do not say the size of the picture"):
        load_masks(path)


@pytest.mark.parametrize(
    "text",
    [
        "0 0.1 0.2",
        "0 0.1 0.2 0.3 0.4 0.5",
        "x 0 0 1 0 1 1",
        "0 a 0 1 0 1 1",
        "0 nan 0 1 0 1 1",
        "0 0 0 400 0 400 300",
    ],
)
def test_lines_of_no_object_are_refused_by_the_name_of_the_file(text, tmp_path):
    path = tmp_path / "it.txt"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"it\.txt"):
        load_masks(path, image="40x30")
