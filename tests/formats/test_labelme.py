import base64
import copy
import dataclasses
import io
import json
import logging

import numpy as np
import pytest
from formats.test_masks_json import any_masks
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from samphire import load_masks
from samphire.errors import FileFormatError
from samphire.formats import Picture, labelme
from samphire.masks import Masks

# What labelme 6.3.1 asks of a shape, and keeps beside it under other_data.
SHAPE_KEYS = {"label", "points", "group_id", "shape_type", "flags", "description", "mask"}


def _document(masks, picture=None):
    return json.loads(labelme.encode(masks, picture or Picture("photo.jpg"))[0])


def _load(document, tmp_path):
    path = tmp_path / "photo.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return load_masks(path, "labelme")


def _drawn_by_labelme(shape, height, width):
    """labelme's ``shape_to_mask`` and, for masks, its ``shapes_to_label``, in its own calls."""
    canvas = Image.fromarray(np.zeros((height, width), np.uint8))
    if shape["shape_type"] == "polygon":
        assert len(shape["points"]) > 2
        corners = [tuple(point) for point in shape["points"]]
        ImageDraw.Draw(canvas).polygon(xy=corners, outline=1, fill=1)
        return np.array(canvas, bool)
    dense = np.zeros((height, width), bool)
    (x1, y1), (x2, y2) = np.asarray(shape["points"]).astype(int)
    stored = Image.open(io.BytesIO(base64.b64decode(shape["mask"])))
    dense[y1 : y2 + 1, x1 : x2 + 1] = np.array(stored).astype(bool)
    return dense


def _shape(kind, points, **more):
    return {"label": "dog", "points": points, "shape_type": kind, **more}


def _file(*shapes, height=20, width=30):
    return {
        "version": "4.5.6",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "photo.jpg",
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _area(document, tmp_path):
    return _load(document, tmp_path).area.tolist()


@pytest.mark.slow
@given(masks=any_masks())
def test_all_but_parents_comes_back(masks, tmp_path_factory):
    alone = dataclasses.replace(masks, parent=np.full(len(masks), -1))
    assert _load(_document(masks), tmp_path_factory.getbasetemp()).equal(alone)


@pytest.mark.slow
@given(masks=any_masks())
def test_labelme_draws_the_same_masks(masks):
    shapes = _document(masks)["shapes"]
    for shape, dense in zip(shapes, masks.to_array(), strict=True):
        assert np.array_equal(_drawn_by_labelme(shape, *dense.shape), dense)


def test_blobs_without_holes_are_polygons_that_labelme_draws_to_the_pixel(rng):
    y, x = np.mgrid[:90, :80]
    for _ in range(30):
        bumps = rng.uniform(0.1, 0.4, 5) @ np.cos(
            np.outer(np.arange(1, 6), np.arctan2(y - 45, x - 40).ravel())
            + rng.uniform(0, 6, (5, 1))
        )
        dense = np.hypot(y - 45, x - 40) < 20 * (1 + 0.5 * bumps.reshape(y.shape))
        (shape,) = _document(Masks.from_arrays(dense[None]))["shapes"]
        if shape["shape_type"] == "polygon":
            assert np.array_equal(_drawn_by_labelme(shape, 90, 80), dense)
    assert shape["shape_type"] == "polygon"


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (["....", ".##.", ".##."], "polygon"),
        (["###.", "#.#.", "###."], "mask"),  # a hole
        (["#..#", "....", "...."], "mask"),  # two parts
        (["#...", "....", "...."], "mask"),  # no polygon has one point
        (["##..", "....", "...."], "mask"),  # nor two
        (["....", "....", "...."], "mask"),
        (["#...", ".#..", "#..."], "polygon"),
    ],
)
def test_what_a_polygon_cannot_hold_is_a_mask(rows, kind, tmp_path):
    masks = Masks.from_arrays([[[cell == "#" for cell in row] for row in rows]])
    document = _document(masks)
    assert document["shapes"][0]["shape_type"] == kind
    assert _load(document, tmp_path).equal(masks)


def test_the_file_is_as_labelme_writes_and_asks_it(rng):
    masks = dataclasses.replace(
        Masks.from_arrays(rng.random((2, 6, 9)) > 0.5), name=("dog", ""), predicted_iou=[0.5, 1]
    )
    document = _document(masks, Picture("photo.jpg", "../in/photo.jpg"))
    assert document["imagePath"] == "../in/photo.jpg"
    assert (document["imageHeight"], document["imageWidth"]) == (6, 9)
    assert document["imageData"] is None
    assert document["version"] == "6.3.1"
    assert [shape["label"] for shape in document["shapes"]] == ["dog", "object"]
    for shape in document["shapes"]:
        assert set(shape) > SHAPE_KEYS
        assert shape["group_id"] is None
        assert (shape["description"], shape["flags"]) == ("", {})
    assert document["shapes"][0]["predicted_iou"] == 0.5


def test_the_name_of_the_picture_serves_where_there_is_no_way_to_it():
    assert _document(Masks.from_arrays(np.ones((1, 3, 3))))["imagePath"] == "photo.jpg"


@pytest.mark.parametrize(("label", "name"), [("object", ""), ("cat", "cat")])
def test_a_label_given_in_labelme_is_the_name(label, name, tmp_path):
    document = _document(Masks.from_arrays(np.ones((1, 3, 3))))
    document["shapes"][0]["label"] = label
    assert _load(document, tmp_path).name == (name,)
    del document["shapes"][0]["named"]  # made in labelme
    assert _load(document, tmp_path).name == (label,)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (_shape("polygon", [[2, 2], [6, 2], [6, 5], [2, 5]]), 5 * 4),
        (_shape(None, [[2, 2], [6, 2], [6, 5], [2, 5]]), 5 * 4),
        (_shape("polygon", [[2.9, 2.9], [6.9, 2], [6, 5.5], [2, 5]]), 5 * 4),  # cut to whole ones
        (_shape("polygon", [[-9, -9], [40, -9], [40, 40], [-9, 40]]), 600),
        (_shape("polygon", [[40, 2], [50, 2], [50, 9]]), 0),
        (_shape("oriented_rectangle", [[2, 2], [6, 2], [6, 5], [2, 5]]), 5 * 4),
        (_shape("rectangle", [[6.5, 5.5], [2.5, 2.5]]), 5 * 4),
        (_shape("circle", [[10, 10], [13, 14]]), 97),
    ],
)
def test_shapes_drawn_by_people_are_filled_with_their_outline(shape, area, tmp_path):
    assert _area(_file(shape), tmp_path) == [area]


@given(
    points=st.lists(
        st.tuples(*[st.floats(-10, 50, width=32)] * 2).map(list), min_size=3, max_size=9
    )
)
def test_any_polygon_is_filled_as_labelme_fills_it(points, tmp_path_factory):
    shape = _shape("polygon", points)
    found = _load(_file(shape), tmp_path_factory.getbasetemp()).to_array()[0]
    assert np.array_equal(found, _drawn_by_labelme(shape, 20, 30))


def test_shapes_that_are_no_areas_are_left_out_and_told(tmp_path, caplog):
    document = _file(
        _shape("point", [[1, 1]]),
        _shape("rectangle", [[0, 0], [1, 1]]),
        _shape("line", [[1, 1], [2, 2]]),
        _shape("linestrip", [[1, 1], [2, 2]]),
    )
    with caplog.at_level(logging.WARNING):
        assert _area(document, tmp_path) == [4]
    (record,) = caplog.records
    assert "photo.json: 3 shapes were left out, no areas (point, line, linestrip)" in record.message


def test_shapes_of_a_group_are_one_object(tmp_path):
    pieces = [_shape("rectangle", [[x, 0], [x + 1, 1]], group_id=3) for x in (0, 1, 10)]
    other = _shape("rectangle", [[0, 0], [5, 5]], group_id=4)
    cat = {**pieces[0], "label": "cat"}
    assert _area(_file(pieces[0], other, *pieces[1:], cat), tmp_path) == [10, 36, 4]


def test_a_file_without_shapes_is_no_masks_of_its_size(tmp_path):
    found = _load(_file(), tmp_path)
    assert (len(found), str(found.size)) == (0, "30x20")


def test_the_content_tells_it_from_other_json(tmp_path):
    path = tmp_path / "photo.json"
    path.write_text(json.dumps(_file(_shape("rectangle", [[0, 0], [1, 1]]))))
    assert load_masks(path).area.tolist() == [4]


def _png(height, width):
    buffer = io.BytesIO()
    Image.fromarray(np.ones((height, width), np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _bomb():
    data = bytearray(base64.b64decode(_png(2, 2)))
    data[16:24] = (1 << 20).to_bytes(4, "big") * 2
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (_shape("polygon", [[1, 1], [2, 2]]), "a polygon of 2 points"),
        (_shape("rectangle", [[1, 1], [2, 2], [3, 3]]), "a rectangle of 3 points"),
        (_shape("polygon", [1, 2, 3]), "points that are not x and y"),
        (_shape("polygon", [[1, 2, 3]] * 3), "points that are not x and y"),
        (_shape("polygon", [[1, 2], [3]]), "not a file of masks"),
        (_shape("polygon", [["a", 2]] * 3), "not a file of masks"),
        (_shape("polygon", [[1e300, 2]] * 3), "coordinates that are not numbers"),
        (_shape("polygon", [[float("nan"), 2]] * 3), "coordinates that are not numbers"),
        (_shape("circle", [[1, 2], [1e200, 1e200]]), "not numbers"),
        (_shape("mask", [[0, 0], [1, 1]]), "KeyError"),
        (_shape("mask", [[0, 0], [1, 1]], mask=None), "TypeError"),
        (_shape("mask", [[0, 0], [1, 1]], mask="*"), "not a file of masks"),
        (_shape("mask", [[0, 0], [1, 1]], mask="aaaa"), "not a PNG"),
        (_shape("mask", [[0, 0], [1, 1]], mask=_png(3, 2)), "2x3 pixels in a box of 2x2"),
        (_shape("mask", [[0, 0], [1, 1]], mask=_bomb()), "of at most"),
        (_shape("mask", [[29, 0], [30, 0]], mask=_png(1, 2)), "expected them inside 30x20"),
        (_shape("mask", [[-1, 0], [0, 0]], mask=_png(1, 2)), "expected them inside 30x20"),
        (_shape("mask", [[float("nan"), 0], [0, 0]], mask=_png(1, 2)), "expected them inside"),
        (_shape("mask", [[0, 0]], mask=_png(1, 1)), "not a file of masks"),
        (_shape("rectangle", [[0, 0], [1, 1]], predicted_iou="high"), "not a file of masks"),
        ({"points": [[0, 0], [1, 1]], "shape_type": "rectangle"}, "KeyError"),
        (7, "not a file of masks"),
    ],
)
def test_a_shape_that_is_damaged_is_refused_by_the_files_name(shape, message, tmp_path):
    with pytest.raises(FileFormatError, match=rf"photo\.json .*{message}"):
        _load(_file(shape), tmp_path)


@pytest.mark.parametrize("key", ["shapes", "imageHeight", "imageWidth"])
@pytest.mark.parametrize("value", [None, "7", {"a": 1}, 1 << 21, 0, -1, [3]])
def test_a_file_without_what_it_needs_is_refused(key, value, tmp_path):
    document = copy.deepcopy(_file(_shape("rectangle", [[0, 0], [1, 1]])))
    document[key] = value
    with pytest.raises(FileFormatError, match=r"photo\.json"):
        _load(document, tmp_path)


def test_parents_are_told_to_be_lost():
    masks = dataclasses.replace(Masks.from_arrays(np.ones((2, 3, 3))), parent=[-1, 0])
    assert labelme.losses(masks) == ("1 mask is a part of others, which labelme cannot say",)
    assert labelme.losses(masks[:1]) == ()
