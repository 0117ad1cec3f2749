"""Boxes from COCO's instances JSON."""

import copy
import json

import numpy as np
import pytest

from samphire.errors import FileFormatError
from samphire.formats.prompts_file import load_prompts
from samphire.masks import rle

DOCUMENT = {
    "images": [{"id": 5, "file_name": "a.jpg"}, {"id": 6, "file_name": "sub/b.jpg"}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 64, "name": "potted plant"}],
    "annotations": [
        {"id": 1, "image_id": 5, "category_id": 18, "bbox": [1, 2, 3, 4.5]},
        {"id": 2, "image_id": 6, "category_id": 64, "bbox": [0, 0, 9, 9], "iscrowd": 0},
        {"id": 3, "image_id": 5, "category_id": 99, "bbox": [5, 5, 1, 1]},
    ],
}


@pytest.fixture
def load(tmp_path):
    def from_document(document):
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(document))
        return load_prompts(path)

    return from_document


@pytest.fixture
def document():
    return copy.deepcopy(DOCUMENT)


def boxes(named):
    return [item.box.tolist() for item in named.prompts.objects]


def test_boxes_become_corners_with_the_name_and_id_of_their_category(load, document):
    file = load(document)
    assert list(file.images) == ["a.jpg", "sub/b.jpg"]
    assert boxes(file.images["a.jpg"]) == [[1, 2, 4, 6.5], [5, 5, 6, 6]]
    assert file.images["a.jpg"].names == ("dog", "")
    assert file.images["a.jpg"].labels == (18, 99)
    assert file.images["sub/b.jpg"].names == ("potted plant",)
    assert file.notes == ()


def test_crowds_and_empty_boxes_are_left_out_and_told(load, document):
    document["annotations"][1]["iscrowd"] = 1
    document["annotations"][2]["bbox"] = [5, 5, 0, 3]
    file = load(document)
    assert boxes(file.images["a.jpg"]) == [[1, 2, 4, 6.5]]
    assert "sub/b.jpg" not in file.images
    assert file.notes == (
        "1 annotation left out: crowds",
        "1 annotation left out: empty boxes",
    )


def test_without_a_bbox_the_box_around_the_segmentation_is_taken(load, document):
    mask = np.zeros((10, 12), bool)
    mask[2:7, 3:9] = True
    runs = rle.encode(mask)
    del document["annotations"][0]["bbox"], document["annotations"][2]["bbox"]
    del document["annotations"][1]["bbox"]
    document["annotations"][0]["segmentation"] = [[1, 1, 5, 1.5, 4, 8], [0.5, 2, 2, 2, 2, 3]]
    document["annotations"][1]["segmentation"] = {"size": [10, 12], "counts": runs.tolist()}
    document["annotations"][2]["segmentation"] = {"size": [10, 12], "counts": rle.to_coco(runs)}
    file = load(document)
    assert boxes(file.images["a.jpg"]) == [[0.5, 1, 5, 8], [3, 2, 9, 7]]
    assert boxes(file.images["sub/b.jpg"]) == [[3, 2, 9, 7]]


def test_ids_of_pictures_may_be_texts_and_categories_may_be_missing(load, document):
    document["images"][0]["id"] = document["annotations"][0]["image_id"] = "x-5"
    document["annotations"] = document["annotations"][:1]
    del document["categories"]
    assert load(document).images["a.jpg"].names == ("",)


def broken(path, value):
    def breaks(document):
        place = document
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return breaks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (broken(["images"], None), "images is not a list"),
        (broken(["annotations"], {}), "annotations is not a list"),
        (broken(["annotations"], []), "it has no annotation with a box"),
        (broken(["annotations", 1], 7), r"annotations\[1\] is 7: expected a record"),
        (broken(["annotations", 1, "image_id"], 8), r"annotations\[1\]: no image has the id 8"),
        (broken(["annotations", 1, "image_id"], None), r"annotations\[1\]: image_id is None"),
        (broken(["annotations", 1, "category_id"], "dog"), r"\[1\]: category_id is 'dog'"),
        (broken(["annotations", 1, "category_id"], -1), r"\[1\]: category_id is -1"),
        (broken(["annotations", 1, "category_id"], 2**31), r"\[1\]: category_id is 2147483648"),
        (broken(["annotations", 1, "bbox"], None), r"\[1\]: it has neither bbox nor segmentation"),
        (broken(["annotations", 1, "bbox"], [1, 2, 3]), r"\[1\], bbox: .* expected x, y, width"),
        (broken(["annotations", 1, "bbox"], [1, 2, "3", 4]), r"\[1\], bbox: '3' is not a finite"),
        (broken(["annotations", 1, "bbox"], [1e308, 2, 1e308, 4]), "inf is not a finite number"),
        (broken(["images", 1, "file_name"], None), r"images\[1\]: None is not the name of a pict"),
        (broken(["images", 1, "file_name"], "a.jpg"), "an id or a file_name is there twice"),
        (broken(["images", 1, "id"], 5), "an id or a file_name is there twice"),
        (broken(["categories", 0, "name"], 7), r"categories\[0\]: the name 7 is not a text"),
    ],
)
def test_a_file_that_is_not_right_is_refused_by_its_record(load, document, change, message):
    change(document)
    with pytest.raises(FileFormatError, match=f"instances.json cannot be used .*{message}"):
        load(document)


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3]],
        [[]],
        [["a", 2]],
        {"counts": "04", "size": [3, 3]},
        {"counts": [-1, 10], "size": [3, 3]},
        {"counts": [9], "size": [3]},
        {"counts": [9], "size": ["3", 3]},
        {"counts": [9], "size": [0, 9]},
        {"counts": {}, "size": [3, 3]},
        {"size": [3, 3]},
        7,
    ],
)
def test_a_segmentation_that_is_not_right_is_refused_by_its_record(load, document, segmentation):
    del document["annotations"][1]["bbox"]
    document["annotations"][1]["segmentation"] = segmentation
    with pytest.raises(FileFormatError, match=r"annotations\[1\], segmentation: "):
        load(document)


def test_coco_results_are_refused_with_what_is_missing(load):
    with pytest.raises(FileFormatError, match="COCO results, which name no files: expected the i"):
        load([{"image_id": 5, "category_id": 18, "bbox": [1, 2, 3, 4], "score": 0.9}])


def test_the_real_file_is_read_whole(data):
    path = data / "objects" / "instances.json"
    file = load_prompts(path)
    annotations = json.loads(path.read_text())["annotations"]
    crowds = sum(record["iscrowd"] for record in annotations)
    objects = sum(len(named.names) for named in file.images.values())
    assert objects == len(annotations) - crowds
    assert objects > 200
    assert file.notes == (f"{crowds} annotations left out: crowds",)
    assert file.images["000000000030.jpg"].names == ("potted plant", "vase")
    assert boxes(file.images["000000000030.jpg"])[0] == [205, 31, 460, 355]
