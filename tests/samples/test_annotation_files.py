"""COCO, YOLO and labelme: what programs wrote is read as those programs mean it."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from samphire.errors import FileFormatError
from samphire.samples.find import open_data
from samphire.samples.yolo import names_in_yaml

HEIGHT, WIDTH = 8, 12
SQUARE = [6, 1, 11, 1, 11, 4, 6, 4]
INSIDE = np.zeros((HEIGHT, WIDTH), bool)
INSIDE[1:4, 6:11] = True


def save(*paths, size=(WIDTH, HEIGHT)):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (9, 9, 9)).save(path)


def annotation(number, image, category, segmentation=None, **others):
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": [SQUARE] if segmentation is None else segmentation,
        **others,
    }


def coco(path, annotations, images=("a.jpg",), categories=((7, "dog"), (3, "cat"))):
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "images": [
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for number, name in enumerate(images, 1)
        ],
        "categories": [{"id": known, "name": name} for known, name in categories],
        "annotations": annotations,
    }
    path.write_text(json.dumps(document))
    return path


def test_cocos_categories_are_labels_from_1_in_order_of_their_ids(tmp_path):
    save(tmp_path / "images/a.jpg")
    path = coco(tmp_path / "list.json", [annotation(1, 1, 7), annotation(2, 1, 3)])
    for data in (open_data(path), open_data(tmp_path)):
        assert data.layout == "COCO instances"
        assert data.classes == ("cat", "dog")
        objects = data.samples[0].read().objects
        assert objects.label.tolist() == [2, 1]
        assert objects.name == ("dog", "cat")
        assert np.array_equal(objects.to_array(), [INSIDE, INSIDE])
    assert data.samples[0].id == "images/a.jpg"
    assert data.samples[0].files == (tmp_path / "images/a.jpg", path)


def test_a_crowd_is_ignored_save_where_an_object_is(tmp_path):
    save(tmp_path / "a.jpg")
    crowd = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
    annotations = [annotation(1, 1, 7, crowd, iscrowd=1), annotation(2, 1, 3, iscrowd=0)]
    found = open_data(coco(tmp_path / "list.json", annotations)).samples[0].read()
    assert np.array_equal(found.objects.to_array(), INSIDE[None])
    assert np.array_equal(found.ignore, ~INSIDE)


def test_a_picture_without_annotations_is_a_picture_without_objects(tmp_path):
    save(tmp_path / "a.jpg")
    found = open_data(coco(tmp_path / "list.json", [])).samples[0].read()
    assert len(found.objects) == 0
    assert found.ignore is None


@pytest.mark.parametrize(
    ("document", "picture"),
    [
        ("annotations/instances_{}2017.json", "{}2017/a.jpg"),
        ("annotations/instances_{}2017.json", "images/{}2017/a.jpg"),
        ("{}/_annotations.coco.json", "{}/a.jpg"),
    ],
)
def test_the_usual_folders_of_coco_are_found_with_their_splits(document, picture, tmp_path):
    for split in ("train", "val"):
        save(tmp_path / picture.format(split))
        coco(tmp_path / document.format(split), [annotation(1, 1, 3)])
    coco(tmp_path / "annotations/captions_train2017.json", [{"image_id": 1}])
    if "instances" not in document:
        (tmp_path / "annotations/captions_train2017.json").unlink()
    found = {sample.id: sample.split for sample in open_data(tmp_path).samples}
    assert found == {picture.format(split): split for split in ("train", "val")}


def test_what_coco_lists_and_cannot_be_used_is_counted(tmp_path):
    save(tmp_path / "a.jpg", tmp_path / "boxed.jpg")
    annotations = [annotation(1, 1, 7), annotation(2, 3, 7, [])]
    images = ("a.jpg", "gone.jpg", "boxed.jpg", "a.jpg")
    data = open_data(coco(tmp_path / "list.json", annotations, images))
    assert [sample.id for sample in data.samples] == ["a.jpg"]
    assert data.notes == (
        "1 image not found left out: gone.jpg.",
        "1 image with boxes but no masks left out: boxed.jpg.",
        "1 image named twice left out: a.jpg.",
    )


def test_an_annotation_of_a_picture_that_coco_does_not_list_is_refused(tmp_path):
    save(tmp_path / "a.jpg")
    with pytest.raises(FileFormatError, match="image 5: expected one of its 1 images"):
        open_data(coco(tmp_path / "list.json", [annotation(1, 5, 7)]))


def test_documents_that_name_a_category_differently_are_refused(tmp_path):
    save(tmp_path / "train/a.jpg", tmp_path / "test/a.jpg")
    coco(tmp_path / "train/list.json", [], categories=[(1, "cat")])
    coco(tmp_path / "test/list.json", [], categories=[(1, "dog")])
    with pytest.raises(FileFormatError, match=r"the category 1 called 'cat'.*calls it 'dog'"):
        open_data(tmp_path)


def test_a_picture_of_another_size_than_coco_says_is_refused(tmp_path):
    save(tmp_path / "a.jpg", size=(WIDTH * 2, HEIGHT * 2))
    sample = open_data(coco(tmp_path / "list.json", [annotation(1, 1, 7)])).samples[0]
    with pytest.raises(FileFormatError, match=r"a\.jpg is 24x16, its mask in .*list\.json 12x8"):
        sample.read()


def test_a_coco_sample_can_be_sent_to_another_process(tmp_path):
    save(tmp_path / "a.jpg")
    sample = open_data(coco(tmp_path / "list.json", [annotation(1, 1, 7)])).samples[0]
    assert pickle.loads(pickle.dumps(sample)).read().objects.equal(sample.read().objects)  # noqa: S301


def test_real_coco_masks_equal_pycocotools(data):
    path = data / "objects/instances.json"
    found, reference = open_data(path), COCO(str(path))
    assert len(found.samples) == 35
    assert found.classes == tuple(
        each["name"] for each in sorted(reference.dataset["categories"], key=lambda one: one["id"])
    )
    for sample in found.samples[:6]:
        (image,) = [
            each
            for each in reference.dataset["images"]
            if each["file_name"] == sample.files[0].name
        ]
        own = reference.imgToAnns[image["id"]]
        read = sample.read()
        solid = [each for each in own if not each["iscrowd"]]
        assert np.array_equal(read.objects.to_array(), [reference.annToMask(one) for one in solid])
        assert list(read.objects.name) == [
            reference.cats[each["category_id"]]["name"] for each in solid
        ]


def shares(polygon):
    return " ".join(
        str(value / (WIDTH if place % 2 == 0 else HEIGHT)) for place, value in enumerate(polygon)
    )


@pytest.mark.parametrize("pattern", ["{kind}/{split}/a", "{split}/{kind}/a"])
def test_yolo_reads_names_and_splits_and_counts_labels_from_1(pattern, tmp_path):
    for split in ("train", "val"):
        save(tmp_path / (pattern.format(kind="images", split=split) + ".jpg"))
        text = tmp_path / (pattern.format(kind="labels", split=split) + ".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"1 {shares(SQUARE)}\n")
    (tmp_path / "data.yaml").write_text("path: .\nnames:\n  0: cat\n  1: dog\n")
    data = open_data(tmp_path)
    assert data.layout == "YOLO polygons"
    assert data.classes == ("cat", "dog")
    assert {sample.split for sample in data.samples} == {"train", "val"}
    objects = data.samples[0].read().objects
    assert np.array_equal(objects.to_array(), INSIDE[None])
    assert objects.label.tolist() == [2]
    assert objects.name == ("dog",)
    assert len(open_data(tmp_path / "data.yaml").samples) == 2


def test_an_empty_yolo_file_has_no_objects_and_a_missing_one_is_told(tmp_path):
    save(tmp_path / "a.jpg", tmp_path / "b.jpg")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "lost.txt").write_text("")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    data = open_data(tmp_path)
    assert [sample.id for sample in data.samples] == ["a.jpg"]
    assert len(data.samples[0].read().objects) == 0
    assert data.classes == ("cat", "dog")
    renamed = open_data(tmp_path, classes=["a", "b"])
    assert (renamed.classes, renamed.named) == (("a", "b"), ("cat", "dog"))
    assert data.notes == (
        "1 text without a picture left out: lost.txt.",
        "1 image without a text file (an empty one says: no objects) left out: b.jpg.",
    )


def test_yolos_numbers_are_names_where_there_are_none_and_others_are_refused(tmp_path):
    save(tmp_path / "images/a.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(f"2 {shares(SQUARE)}\n")
    assert open_data(tmp_path).classes == ("0", "1", "2")
    assert open_data(tmp_path).samples[0].read().objects.name == ("2",)
    with pytest.raises(FileFormatError, match="the class 2: expected 0 to 1, for 2 classes"):
        open_data(tmp_path, classes=["cat", "dog"]).samples[0].read()


@pytest.mark.parametrize(
    "text",
    [
        "names: ['a b', \"c\"]",
        "names: [\n  'a b',\n  c\n]\nnc: 2",
        "names: {0: a b, 1: c}",
        "train: x\nnames:\n- a b\n- c\nnc: 2",
        "names:\n  - a b # first\n\n  - 'c'\n",
        "names:\n  1: c\n  0: a b\nval: y",
    ],
)
def test_names_are_read_as_people_write_them_in_yaml(text):
    assert names_in_yaml(text) == ["a b", "c"]


def labelme(path, *shapes, picture="a.jpg"):
    path.parent.mkdir(parents=True, exist_ok=True)
    points = [[6, 1], [10, 1], [10, 3], [6, 3]]
    made = [{"shape_type": "polygon", "points": points} | shape for shape in shapes]
    document = {"imagePath": picture, "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": made}
    path.write_text(json.dumps(document))
    return path


def test_labelmes_names_are_classes_in_alphabetical_order(tmp_path):
    save(tmp_path / "a.jpg", tmp_path / "b.jpg")
    labelme(tmp_path / "a.json", {"label": "dog"}, {"label": "way", "shape_type": "line"})
    labelme(tmp_path / "b.json", {"label": "cat"}, picture="b.jpg")
    data = open_data(tmp_path)
    assert data.layout == "labelme"
    assert data.classes == ("cat", "dog")
    renamed = open_data(tmp_path, classes=["a", "b"])
    assert (renamed.classes, renamed.named) == (("a", "b"), ("cat", "dog"))
    first, second = (sample.read().objects for sample in data.samples)
    assert np.array_equal(first.to_array(), INSIDE[None])
    assert (first.label.tolist(), first.name) == ([2], ("dog",))
    assert (second.label.tolist(), second.name) == ([1], ("cat",))


def test_a_labelme_file_may_lie_in_a_folder_of_its_own(tmp_path):
    save(tmp_path / "images/train/a.jpg", tmp_path / "images/b.jpg")
    labelme(tmp_path / "labels/a.json", {"label": "cat"}, picture="..\\images\\train\\a.jpg")
    labelme(tmp_path / "labels/b.json", {"label": "cat"}, picture="b.jpg")
    labelme(tmp_path / "labels/c.json", {"label": "cow"}, picture="c.jpg")
    (tmp_path / "labels/cut.json").write_text('{"shapes": [')
    (tmp_path / "labels/no_label.json").write_text(
        '{"imagePath": "b.jpg", "imageHeight": 8, "imageWidth": 12, "shapes": [{}]}'
    )
    data = open_data(tmp_path)
    assert [(sample.id, sample.split) for sample in data.samples] == [
        ("images/b.jpg", None),
        ("images/train/a.jpg", "train"),
    ]
    assert data.classes == ("cat",)
    assert data.notes == (
        "1 file without a picture left out: labels/c.json.",
        "2 files damaged or not labelme's left out: labels/cut.json, labels/no_label.json.",
    )
