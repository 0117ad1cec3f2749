"""COCO instances: nothing is lost, pycocotools reads them, and files of others are read."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest
from formats.test_masks_json import any_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from samphire import load_masks
from samphire.errors import FileFormatError
from samphire.formats import Picture, coco
from samphire.masks import Masks

ENCODERS = [coco.encode, coco.encode_polygons]


@pytest.fixture
def masks(rng):
    """A blob, one with a hole and two parts, one empty; of two classes."""
    dense = np.zeros((3, 30, 40), np.bool_)
    dense[0, 3:12, 5:20] = True
    dense[1, 15:28, 2:20] = dense[1, 2:5, 30:35] = True
    dense[1, 18:22, 6:9] = False
    return dataclasses.replace(
        Masks.from_arrays(dense),
        predicted_iou=np.array([0.9, np.nan, 0.5]),
        label=np.array([2, 0, 2]),
        parent=np.array([-1, 0, -1]),
        name=("dog", "", "dog"),
    )


def opened(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("encode", ENCODERS)
@given(masks=any_masks())
def test_every_column_comes_back(encode, masks, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "masks.coco.json"
    masks = dataclasses.replace(masks, label=np.maximum(masks.label, 0))
    path.write_bytes(encode(masks, Picture("photo.jpg"))[0])
    assert coco.read(path).equal(masks)


@pytest.mark.parametrize("encode", ENCODERS)
def test_pycocotools_reads_masks_boxes_and_classes(encode, masks, tmp_path):
    path = tmp_path / "instances.json"
    path.write_bytes(encode(masks, Picture("photo.jpg"))[0])
    data = opened(path)
    assert data.imgs[1] == {"id": 1, "file_name": "photo.jpg", "width": 40, "height": 30}
    for index, annotation in enumerate(data.loadAnns(data.getAnnIds(imgIds=[1]))):
        np.testing.assert_array_equal(data.annToMask(annotation), masks.to_array()[index])
        assert annotation["area"] == masks.area[index]
        encoded = coco_mask.encode(np.asfortranarray(masks.to_array()[index].astype(np.uint8)))
        assert annotation["bbox"] == coco_mask.toBbox(encoded).tolist()
        assert data.cats[annotation["category_id"]]["name"] == (masks.name[index] or "object")
    assert [annotation.get("score") for annotation in data.anns.values()] == [
        pytest.approx(0.9),
        None,
        pytest.approx(0.5),
    ]
    assert data.anns[2]["parent"] == 1


def test_polygons_are_drawn_where_there_is_no_hole(masks):
    annotations = json.loads(coco.encode_polygons(masks, Picture())[0])["annotations"]
    assert annotations[0]["segmentation"] == [[5, 3, 20, 3, 20, 12, 5, 12]]
    assert isinstance(annotations[1]["segmentation"], dict)


def test_many_pictures_become_one_file_and_come_back_one_by_one(masks, tmp_path):
    other = dataclasses.replace(
        Masks.from_arrays(np.eye(9)[None]), label=np.array([2]), name=("cat",)
    )
    path = tmp_path / "instances.json"
    documents = [
        coco.encode(masks, Picture("a/one.jpg"))[0],
        coco.encode(masks[:0], Picture("a/none.jpg"))[0],
        coco.encode(other, Picture("b/two.jpg"))[0],
    ]
    path.write_bytes(coco.combine(documents))
    assert coco.combine(documents) == path.read_bytes()
    assert coco.pictures(path) == ["a/one.jpg", "a/none.jpg", "b/two.jpg"]
    data = opened(path)
    assert sorted(data.anns) == [1, 2, 3, 4]
    assert len(data.cats) == 3
    assert load_masks(path, image="a/one.jpg").equal(masks)
    assert load_masks(path, image="two.jpg").equal(other)
    assert len(load_masks(path, image="a/none.jpg")) == 0
    for asked, message in (
        (None, "3 pictures, and no picture was named"),
        ("x.jpg", "0 are called"),
    ):
        with pytest.raises(FileFormatError, match=message):
            load_masks(path, image=asked)


def test_files_of_other_programs_are_read(tmp_path):
    square = np.zeros((20, 30), np.uint8)
    square[4:10, 5:15] = 1
    packed = coco_mask.encode(np.asfortranarray(square))
    document = {
        "images": [{"id": 77, "file_name": "x.png", "height": 20, "width": 30}],
        "categories": [{"id": 3, "name": "cell", "supercategory": "thing"}],
        "annotations": [
            {"id": 5, "image_id": 77, "category_id": 3, "segmentation": segmentation}
            for segmentation in (
                [[5, 4, 15, 4, 15, 10, 5, 10]],
                {"size": [20, 30], "counts": packed["counts"].decode()},
                {"size": [20, 30], "counts": [104, 6] + [14, 6] * 9 + [310]},
            )
        ]
        + [{"id": 9, "image_id": 78, "category_id": 3, "segmentation": []}],
    }
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(document))
    found = load_masks(path)
    assert (found.to_array() == square.astype(bool)).all()
    assert (len(found), found.label.tolist(), found.name) == (3, [3] * 3, ("cell",) * 3)
    assert (found.parent == -1).all()


@pytest.mark.parametrize(
    "change",
    [
        {"images": []},
        {"images": [{"id": 1, "file_name": "a", "height": 0, "width": 3}]},
        {"images": [{"id": 1, "file_name": "a", "height": 1 << 40, "width": 3}]},
        {"annotations": [{"id": 1, "image_id": 1, "category_id": 1}]},
        {"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3]]}]},
        {"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [["a", 1]]}]},
        {"annotations": 7},
    ],
)
def test_what_is_damaged_is_refused_by_name(change, tmp_path):
    document = json.loads(coco.encode(Masks.from_arrays(np.eye(3)[None]), Picture())[0])
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(document | change))
    with pytest.raises(FileFormatError, match=r"damaged\.json"):
        coco.read(path)


def _file(path, names, annotations=()):
    images = [
        {"id": number, "file_name": name, "height": 4, "width": 5}
        for number, name in enumerate(names, 1)
    ]
    path.write_text(json.dumps({"images": images, "annotations": list(annotations)}))
    return path


def _square(number, image, **more):
    ring = [image, 0, image + 1, 0, image + 1, 1, image, 1]  # tells by its place which image
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "segmentation": [ring],
        **more,
    }


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("day1/a.jpg", 1),
        ("day2/a.jpg", 2),
        ("b.jpg", 3),
        ("set/day1/a.jpg", 1),  # the file was made in the folder set
        ("day9/c.jpg", 4),
        ("", 5),
    ],
)
def test_a_picture_is_found_by_its_name_or_an_end_of_it(asked, left, tmp_path):
    names = ["day1/a.jpg", "day2/a.jpg", "day2/b.jpg", "c.jpg", ""]
    path = _file(tmp_path / "it.json", names, [_square(n, n) for n in range(1, 6)])
    assert coco.pictures(path) == names
    found = np.flatnonzero(coco.read(path, asked).to_array()[0].any(axis=0))
    assert found.tolist() == ([left] if left < 5 else [])  # the last lies outside its picture
    assert len(coco.read(path, asked)) == 1


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (["day2/a.jpg", "b.jpg"], "day1/a.jpg", "0 are called day1/a.jpg"),
        (["day1/a.jpg", "day2/a.jpg"], "a.jpg", "2 are called a.jpg"),
        (["xa.jpg", "b.jpg"], "a.jpg", "0 are called a.jpg"),
        (["a.jpg", "b.jpg"], ".", r"0 are called \."),
        (["", "b.jpg"], None, "no picture was named"),
        ([], None, "no pictures: expected at least one"),
        (["1", "2", "3", "4", "5", "6"], None, r"6 pictures, .* of 1, 2, 3, 4, 5, \.\.\."),
    ],
)
def test_no_other_picture_is_taken_for_the_one_asked_for(names, asked, message, tmp_path):
    path = _file(tmp_path / "it.json", names, [_square(1, 1)])
    with pytest.raises(FileFormatError, match=rf"it\.json holds .*{message}"):
        coco.read(path, asked)


def test_a_picture_without_a_name_is_listed_and_read(tmp_path):
    path = tmp_path / "it.json"
    image = {"id": 3, "height": 4, "width": 5}
    path.write_text(json.dumps({"images": [image], "annotations": [_square(1, 3)]}))
    assert coco.pictures(path) == [""]
    assert coco.read(path).area.tolist() == [1]


@settings(max_examples=25)
@given(sets=st.lists(any_masks(), max_size=4))
def test_a_common_file_has_ids_of_its_own_and_loses_nothing(sets, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "common.json"
    singles = [coco.encode(masks, Picture(f"{place}.jpg"))[0] for place, masks in enumerate(sets)]
    half = len(singles) // 2
    whole = coco.combine(singles)
    assert coco.combine([coco.combine(singles[:half]), coco.combine(singles[half:])]) == whole
    path.write_bytes(whole)
    document = json.loads(whole)
    for key, count in (("images", len(sets)), ("annotations", sum(map(len, sets)))):
        assert [each["id"] for each in document[key]] == list(range(1, count + 1))
    ids = [each["id"] for each in document["categories"]]
    assert len(set(ids)) == len(ids)
    for place, masks in enumerate(sets):
        assert coco.read(path, f"{place}.jpg").equal(masks)


def test_files_that_were_edited_elsewhere_are_combined_by_their_ids(tmp_path):
    theirs = _file(
        tmp_path / "theirs.json",
        ["a", "b"],
        [_square(40, 2, parent=41), _square(7, 1, parent=99), _square(41, 2)],
    ).read_bytes()
    document = json.loads(coco.combine([theirs, theirs]))
    told = [(each["id"], each["image_id"], each.get("parent")) for each in document["annotations"]]
    assert told == [(1, 2, 3), (2, 1, None), (3, 2, None), (4, 4, 6), (5, 3, None), (6, 4, None)]
    assert [category["id"] for category in document["categories"]] == [1]


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b'{"images": []}',
        b'{"images": [], "annotations": [{"id": 1, "image_id": 3, "category_id": 1}]}',
        b'{"images": [{"id": 3}], "annotations": [{"id": 1, "image_id": 3, "category_id": "x"}]}',
        b'{"images": [{"id": 3}], "annotations": [{"image_id": 3, "category_id": 1}]}',
        b'{"images": [{"id": 3}], "annotations": [{"id": [1], "image_id": 3, "category_id": 1}]}',
        b'{"images": [{"id": 3, "x": NaN}], "annotations": []}',
        b'{"images": [{"id": 3, "x": 1e999}], "annotations": []}',
    ],
)
def test_a_damaged_file_to_combine_is_refused_by_its_place(damaged, masks):
    with pytest.raises(FileFormatError, match="file 2 of 2 to combine"):
        coco.combine([coco.encode(masks, Picture())[0], damaged])


def test_parts_of_a_polygon_are_united_and_a_ring_is_filled_by_even_odd(tmp_path):
    twice_around = [[0, 0, 3, 0, 3, 3, 0, 3, 0, 0, 1, 1, 2, 1, 2, 2, 1, 2, 1, 1]]
    overlapping = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]]
    record = _square(1, 1)
    path = _file(
        tmp_path / "it.json",
        ["a"],
        [record | {"segmentation": rings} for rings in (twice_around, overlapping)],
    )
    found = coco.read(path).to_array()[:, :3, :3].astype(int).tolist()
    assert found == [[[1, 1, 1], [1, 0, 1], [1, 1, 1]], [[1, 1, 0], [1, 1, 1], [0, 1, 1]]]


def test_a_few_letters_cannot_claim_all_memory(tmp_path):
    path = tmp_path / "bomb.json"
    zigzag = [0, 0, 1 << 20, 8] * 9
    image = {"id": 1, "file_name": "a", "height": 8, "width": 1 << 20}
    for rings in ([zigzag], [zigzag[:4] * 3] * 6):
        record = _square(1, 1) | {"segmentation": rings}
        path.write_text(json.dumps({"images": [image], "annotations": [record]}))
        with pytest.raises(FileFormatError, match=r"bomb\.json .* columns of pixels"):
            coco.read(path)
    image["height"] = 1 << 12
    path.write_text(json.dumps({"images": [image], "annotations": []}))
    with pytest.raises(FileFormatError, match=r"bomb\.json .* fewer than 4294967296 pixels"):
        coco.read(path)
