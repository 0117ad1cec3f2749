"""labelme's JSON: exact, editable where it can be, and what people draw is read as it is filled."""

import base64
import dataclasses
import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw

from samphire import load_masks
from samphire.errors import FileFormatError
from samphire.formats import Picture, grey, labelme
from samphire.masks import Masks


def shapes_of(masks):
    return json.loads(labelme.encode(masks, Picture())[0])["shapes"]


def filled(shape, size):
    """A shape as labelme 6.3 itself makes a mask of it."""
    if shape["shape_type"] == "mask":
        dense = np.zeros(size, np.bool_)
        (x0, y0), (x1, y1) = np.array(shape["points"]).astype(int)
        picture = grey.decode_png(base64.b64decode(shape["mask"]), "it")
        dense[y0 : y1 + 1, x0 : x1 + 1] = picture.astype(bool)
        return dense
    canvas = Image.fromarray(np.zeros(size, np.uint8))
    points = [tuple(point) for point in shape["points"]]
    ImageDraw.Draw(canvas).polygon(points, outline=1, fill=1)
    return np.array(canvas, bool)


@settings(deadline=None)
@given(dense=arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=9)))
def test_labelme_fills_every_shape_to_its_mask(dense):
    masks = Masks.from_arrays(dense)
    solid = dense[dense.any(axis=(1, 2))]
    for shape, mask in zip(shapes_of(masks), solid, strict=True):
        np.testing.assert_array_equal(filled(shape, mask.shape), mask)


@settings(deadline=None)
@given(data=st.data())
def test_blobs_are_polygons_that_labelme_fills_exactly(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    y, x = np.mgrid[:40, :50]
    angle = np.arctan2(y - 20, x - 25)
    wave = 12 + rng.uniform(0, 5) * np.sin(rng.integers(1, 6) * angle + rng.uniform(0, 6))
    masks = Masks.from_arrays((np.hypot(y - 20, x - 25) < wave)[None])
    (shape,) = shapes_of(masks)
    np.testing.assert_array_equal(filled(shape, (40, 50)), masks.to_array()[0])


def test_simple_masks_can_be_edited_and_others_are_pictures():
    dense = np.zeros((4, 20, 20), np.bool_)
    dense[0, 2:9, 3:12] = True  # simple
    dense[1] = dense[0]
    dense[1, 4:6, 5:7] = False  # a hole
    dense[2, 2:5, 2:5] = dense[2, 10:15, 10:15] = True  # two parts
    dense[3, 7, 7] = True  # one pixel
    shapes = shapes_of(Masks.from_arrays(dense))
    assert [shape["shape_type"] for shape in shapes] == ["polygon", "mask", "mask", "mask"]
    assert shapes[0]["points"] == [[3, 2], [3, 8], [11, 8], [11, 2]]
    assert shapes[3]["points"] == [[7, 7], [7, 7]]


def test_the_document_has_labelmes_keys_and_points_to_the_picture():
    masks = dataclasses.replace(Masks.from_arrays(np.ones((2, 3, 4))), name=("dog", ""))
    document = json.loads(labelme.encode(masks, Picture("a.jpg", "../photos/a.jpg"))[0])
    assert list(document) == [
        *("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
    ]
    assert (document["imagePath"], document["imageData"]) == ("../photos/a.jpg", None)
    assert (document["imageHeight"], document["imageWidth"]) == (3, 4)
    assert [shape["label"] for shape in document["shapes"]] == ["dog", "object"]
    assert {"label", "points", "group_id", "description", "shape_type", "flags", "mask"} <= (
        document["shapes"][0].keys()
    )


def test_scores_parents_and_names_come_back_and_edits_in_labelme_win(tmp_path):
    dense = np.zeros((3, 9, 9), np.bool_)
    dense[1, 1:8, 1:8] = dense[2, 2:4, 2:4] = True
    masks = dataclasses.replace(
        Masks.from_arrays(dense),
        predicted_iou=np.array([0.1, 0.9, 0.8]),
        parent=np.array([-1, -1, 1]),
        name=("gone", "whole", ""),
    )
    assert labelme.losses(masks) == ("1 empty mask, which labelme has no shape for",)
    path = tmp_path / "a.json"
    path.write_bytes(labelme.encode(masks, Picture())[0])
    assert load_masks(path).equal(masks[1:])
    document = json.loads(path.read_text())
    document["shapes"][1]["label"] = "nose"
    document["shapes"][0]["points"][0] = [0, 0]
    path.write_text(json.dumps(document))
    edited = load_masks(path)
    assert edited.name == ("whole", "nose")
    assert edited.area[0] > masks.area[1]


def drawn(*shapes):
    return {
        "version": "5.0.1",
        "flags": {},
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 30,
        "imageWidth": 40,
        "shapes": [{"label": "cell", "flags": {}, "group_id": None, **shape} for shape in shapes],
    }


def test_what_people_draw_is_read_and_cut_at_the_edges(tmp_path, caplog):
    path = tmp_path / "drawn.json"
    path.write_text(
        json.dumps(
            drawn(
                {"shape_type": "polygon", "points": [[5, 5], [15, 5], [15, 15], [5, 15]]},
                {"shape_type": "rectangle", "points": [[30, 20], [60, 50]]},
                {"shape_type": "circle", "points": [[20, 15], [20, 20]]},
                {"shape_type": "line", "points": [[1, 1], [5, 5]]},
            )
        )
    )
    with caplog.at_level(logging.WARNING):
        masks = load_masks(path)
    assert "1 shape without an area left out" in caplog.text
    assert masks.boxes.tolist() == [[5, 5, 16, 16], [30, 20, 40, 30], [15, 10, 26, 21]]
    assert masks.area.tolist()[:2] == [121, 100]
    assert masks.area[2] == pytest.approx(np.pi * 25, rel=0.1)
    assert masks.name == ("cell",) * 3


@pytest.mark.parametrize(
    "shape",
    [
        {"shape_type": "polygon", "points": [[1, 1], [2, 2]]},
        {"shape_type": "polygon", "points": [[1, 1], [1e30, 2], [3, 3]]},
        {"shape_type": "polygon", "points": [["a", 1], [2, 2], [3, 3]]},
        {"shape_type": "mask", "points": [[1, 1], [5, 5]], "mask": "!!"},
        {"shape_type": "mask", "points": [[1, 1], [5, 5]], "mask": None},
        {"shape_type": "circle", "points": [[1, 1]]},
        {"shape_type": "polygon"},
    ],
)
def test_damaged_shapes_are_refused_by_the_name_of_the_file(shape, tmp_path):
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(drawn(shape)))
    with pytest.raises(FileFormatError, match=r"damaged\.json"):
        load_masks(path)
