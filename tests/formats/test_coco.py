"""COCO instances: nothing is lost, pycocotools reads them, and files of others are read."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest
from formats.test_masks_json import any_masks
from hypothesis import given, settings
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


@pytest.mark.parametrize("encode", ENCODERS)
@settings(deadline=None)
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
