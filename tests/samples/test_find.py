"""Data is recognised by what lies there, and nothing is dropped without a word."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from samphire.errors import FileFormatError
from samphire.samples.find import open_data

MASK = np.zeros((8, 12), np.uint8)
MASK[1:4, 6:11] = 255


def save(*paths, pixels=MASK):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def ids(data):
    return [sample.id for sample in data.samples]


def test_folders_are_paired_by_name_and_what_is_left_out_is_told(tmp_path):
    save(tmp_path / "images/a.jpg", tmp_path / "images/b.jpg", tmp_path / "images/only.jpg")
    save(tmp_path / "masks/a.png", tmp_path / "masks/b_1.png", tmp_path / "masks/b_2.png")
    save(tmp_path / "masks/lost.png")
    data = open_data(tmp_path)
    assert data.layout == "image and mask folders"
    assert ids(data) == ["images/a.jpg", "images/b.jpg"]
    assert [len(sample.read().objects) for sample in data.samples] == [1, 2]
    assert data.samples[1].files == tmp_path_files(
        tmp_path, "images/b.jpg", "masks/b_1.png", "masks/b_2.png"
    )
    assert data.notes[:2] == (
        "1 image without a mask left out: images/only.jpg.",
        "1 mask without an image of its name left out: masks/lost.png.",
    )


def tmp_path_files(folder, *names):
    return tuple(folder / name for name in names)


@pytest.mark.parametrize(
    ("images", "masks"), [("img", "label"), ("Image", "Mask"), ("imgs", "labels")]
)
def test_folders_have_several_names(images, masks, tmp_path):
    save(tmp_path / images / "a.png", tmp_path / masks / "a_segmentation.png")
    assert ids(open_data(tmp_path)) == [f"{images}/a.png"]


def test_a_number_in_a_name_does_not_pair_with_another_image(tmp_path):
    save(tmp_path / "images/a.jpg", tmp_path / "images/a1.jpg", tmp_path / "masks/a.png")
    save(tmp_path / "masks/a_1.png", tmp_path / "masks/a1.png")
    data = open_data(tmp_path)
    assert [sample.files[1:] for sample in data.samples] == [
        (tmp_path / "masks/a.png",),
        (tmp_path / "masks/a1.png",),
    ]
    assert "masks/a_1.png" in data.notes[0]


@pytest.mark.parametrize("pattern", ["{split}/{kind}/x.png", "{kind}/{split}/x.png"])
def test_subfolders_called_train_val_and_test_are_splits(pattern, tmp_path):
    for split in ("train", "valid", "test"):
        for kind in ("images", "masks"):
            save(tmp_path / pattern.format(split=split, kind=kind))
    found = {sample.id: sample.split for sample in open_data(tmp_path).samples}
    assert found == {
        pattern.format(split=word, kind="images"): split
        for word, split in [("train", "train"), ("valid", "val"), ("test", "test")]
    }


@pytest.mark.parametrize("name", ["x_mask.png", "x.mask.png", "x.mask_0.png", "x-seg.tif"])
def test_a_mask_may_lie_beside_its_image(name, tmp_path):
    save(tmp_path / "x.jpg", tmp_path / name)
    data = open_data(tmp_path)
    assert data.layout == "images and masks in one folder"
    assert data.samples[0].files == (tmp_path / "x.jpg", tmp_path / name)
    assert np.array_equal(data.samples[0].read().objects.to_array(), MASK[None] > 0)


def test_hidden_files_are_not_seen(tmp_path):
    save(tmp_path / "images/a.png", tmp_path / "masks/a.png")
    save(tmp_path / "images/.thumbs/b.png", tmp_path / "masks/.a_2.png")
    assert ids(open_data(tmp_path)) == ["images/a.png"]


def table(folder, text, name="list.csv"):
    (folder / name).write_text(text)
    return folder


def test_a_table_gives_ids_splits_groups_and_classes(tmp_path):
    save(*tmp_path_files(tmp_path, "a.png", "b.png", "m1.png", "m2.png", "m3.png"))
    rows = (
        "image,mask,split,group,class\na.png,m1.png,Train,p1,vein\na.png,m2.png,Train,p1,artery\n"
    )
    data = open_data(table(tmp_path, rows + "b.png,m3.png,validation,p2,vein\n"))
    assert data.layout == "table of images and masks"
    assert data.classes == ("artery", "vein")
    assert [(each.id, each.split, each.group) for each in data.samples] == [
        ("a.png", "train", "p1"),
        ("b.png", "val", "p2"),
    ]
    assert data.samples[0].read().objects.label.tolist() == [2, 1]
    assert data.samples[0].read().objects.name == ("vein", "artery")


def test_json_lines_are_a_table(tmp_path):
    save(tmp_path / "a.png", tmp_path / "m.png")
    row = {"image": "a.png", "mask": "m.png", "id": 7}
    data = open_data(table(tmp_path, json.dumps(row) + "\n\n", "list.jsonl"))
    assert ids(data) == ["7"]
    assert ids(open_data(tmp_path / "list.jsonl")) == ["7"]


def test_rows_that_cannot_be_used_are_counted(tmp_path):
    save(*tmp_path_files(tmp_path, "a.png", "b.png", "m.png"))
    rows = ["image,mask,split", "a.png,m.png,fold1", "none.png,m.png,"]
    torn = ["b.png,m.png,train", "b.png,m.png,test"]
    data = open_data(table(tmp_path, "\n".join(rows + torn)))
    assert ids(data) == ["a.png"]
    assert data.notes[:3] == (
        "1 row whose files are missing left out: none.png.",
        "1 image in two splits or groups at once left out: b.png.",
        "Splits not known and passed over: fold1.",
    )


def test_a_table_wins_over_other_layouts_and_says_so(tmp_path):
    save(tmp_path / "images/a.png", tmp_path / "masks/a.png")
    (tmp_path / "instances.json").write_text('{"images": [], "annotations": []}')
    data = open_data(table(tmp_path, "image,mask\nimages/a.png,masks/a.png\n"))
    assert data.layout == "table of images and masks"
    assert "instances.json" in data.notes[-1]


def test_two_tables_are_one_too_many(tmp_path):
    save(tmp_path / "a.png", tmp_path / "m.png")
    for name in ("one.csv", "two.csv"):
        table(tmp_path, "image,mask\na.png,m.png\n", name)
    with pytest.raises(FileFormatError, match=r"2 tables .*one\.csv, two\.csv: expected one"):
        open_data(tmp_path)


def test_other_tables_do_not_count(tmp_path):
    save(tmp_path / "a.png", tmp_path / "m.png")
    table(tmp_path, "image,mask\na.png,m.png\n")
    table(tmp_path, "mask,area\nm.png,3\n", "areas.csv")
    assert ids(open_data(tmp_path)) == ["a.png"]


def test_classes_must_be_as_many_as_the_data_has_and_in_its_order(tmp_path):
    save(tmp_path / "a.png", tmp_path / "m.png")
    table(tmp_path, "image,mask,class\na.png,m.png,vein\na.png,m.png,artery\n")
    with pytest.raises(
        FileFormatError, match=r"2 classes in this order: artery, vein; .* has 1: x"
    ):
        open_data(tmp_path, classes=["x"])
    with pytest.raises(FileFormatError, match="in this order: artery, vein"):
        open_data(tmp_path, classes=["vein", "artery"])
    renamed = open_data(tmp_path, classes=["A", "V"])
    assert (renamed.classes, renamed.named) == (("A", "V"), ("artery", "vein"))
    with pytest.raises(FileFormatError, match="expected a list"):
        open_data(tmp_path, classes="vein")


def test_what_is_not_known_is_refused_with_what_was_found_and_expected(tmp_path):
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(FileFormatError, match=r"holds notes\.md: expected one of these: .*images/"):
        open_data(tmp_path)
    with pytest.raises(FileFormatError, match=r"a \.md"):
        open_data(tmp_path / "notes.md")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_data(tmp_path / "nowhere")


def test_folders_in_which_nothing_fits_are_refused(tmp_path):
    save(tmp_path / "images/a.png", tmp_path / "masks/b.png")
    with pytest.raises(FileFormatError, match="no image has a mask of its name"):
        open_data(tmp_path)


def test_samples_can_be_sent_to_another_process(tmp_path):
    save(tmp_path / "images/a.png", tmp_path / "masks/a.png")
    sample = open_data(tmp_path).samples[0]
    assert pickle.loads(pickle.dumps(sample)).read().objects.equal(sample.read().objects)  # noqa: S301


@pytest.mark.parametrize(
    ("folder", "samples", "objects", "groups"),
    [
        ("medical/polyps", 96, 96, 96),
        ("medical/fundus_vessels", 28, 28, 14),
        ("medical/ct_slices", 4, 30, 4),
        ("aerial", 1, 43, 1),
        pytest.param("microscopy/nuclei", 40, 1942, None, marks=pytest.mark.slow),
        pytest.param("objects", 35, 247, 35, marks=pytest.mark.slow),
    ],
)
def test_real_data_is_read_as_its_authors_counted_it(folder, samples, objects, groups, data):
    found = open_data(data / folder)
    assert len(found.samples) == samples
    assert all(sample.split for sample in found.samples)
    assert groups in (None, len({sample.group for sample in found.samples}))
    read = [sample.read() for sample in found.samples]
    assert sum(len(each.objects) for each in read) == objects
    assert {label for each in read for label in each.objects.label.tolist()} == {1}
