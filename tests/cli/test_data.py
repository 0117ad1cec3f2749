"""``samphire data check``: findings in words and in JSON, and the exit code."""

import json
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from samphire.cli.__main__ import cli
from samphire.errors import FileFormatError, OutputExistsError
from samphire.masks import Masks
from samphire.samples import DataSet, Labelled, Sample

BOX = np.zeros((1, 40, 40), bool)
BOX[0, 5:30, 5:30] = True


def labelled(seed, label=1):
    noise = np.random.default_rng(seed).random((40, 40, 3)).astype(np.float32)
    image = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    objects = Masks.from_arrays(BOX)
    return Labelled(image.astype(np.uint8), replace(objects, label=np.array([label])))


def samples(count=3, seeds=None, splits=("train", "val", "test")):
    return tuple(
        Sample(
            f"{at}.png", f"{at}", (), partial(labelled, (seeds or range(count))[at]), splits[at % 3]
        )
        for at in range(count)
    )


@pytest.fixture
def open_as(tmp_path, monkeypatch):
    """Let the folder ``set`` be this data set, whatever is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()

    def opened(dataset):
        finder = ModuleType("samphire.samples.find")
        finder.open_data = lambda path, classes, window: replace(dataset, name=path.name)
        monkeypatch.setitem(sys.modules, finder.__name__, finder)

    return opened


def check(*arguments):
    return CliRunner().invoke(cli, ["data", "check", *map(str, arguments)], standalone_mode=False)


def test_clean_data_is_told_in_numbers_and_exits_with_0(open_as):
    open_as(DataSet("", "pairs of folders", samples(), (), ("left out: notes.txt",)))
    result = check("set")
    assert result.return_value == 0, result.exception
    assert result.stdout.splitlines() == [
        "set: pairs of folders, 3 samples",
        "  left out: notes.txt",
        "  train     1 sample, 1 group, 1 object",
        "  val       1 sample, 1 group, 1 object",
        "  test      1 sample, 1 group, 1 object",
        "  sizes     40x40 (3)",
        "nothing found that would spoil training",
    ]


def test_an_error_is_told_first_and_exits_with_1(open_as):
    open_as(DataSet("", "pairs", samples(seeds=[0, 0, 1]), ("cat", "dog")))
    result = check("set")
    assert result.return_value == 1
    lines = result.stdout.splitlines()
    assert "  train     1 sample, 1 group, 1 object (cat 1, dog 0)" in lines
    assert lines[-2].startswith(
        "error: duplicate: 0.png = 1.png have the same pixels, in train and"
    )
    assert lines[-1].startswith("warning: missing class: 1 of 2 classes have no object at all: dog")


def test_warnings_alone_exit_with_0(open_as):
    open_as(DataSet("", "pairs", samples(), ("cat", "dog")))
    result = check("set")
    assert result.return_value == 0
    assert "no object at all: dog" in result.stdout


def test_many_findings_of_a_kind_are_cut_short_and_json_has_all(open_as):
    broken = tuple(replace(each, read=partial(_fail, each.id)) for each in samples(8))
    open_as(DataSet("", "pairs", broken))
    text = check("set")
    assert text.stdout.count("error: unreadable:") == 6
    assert "error: unreadable: 3 more, which --json lists" in text.stdout
    record = json.loads(check("set", "--json").stdout)
    assert record["errors"] == len(record["findings"]) == 8
    assert record["findings"][0] == {
        "severity": "error",
        "kind": "unreadable",
        "ids": ["0.png"],
        "text": "0.png: 0.png is no picture. Repair the file, or leave the sample out",
    }


def _fail(name):
    raise FileFormatError(f"{name} is no picture")


def test_json_has_the_numbers_and_notes(open_as):
    open_as(DataSet("", "pairs", samples(), ("cat",), ("a note",)))
    result = check("set", "--json", "--output", "sheet.png")
    record = json.loads(result.stdout)
    assert record["splits"][0] == {"split": "train", "samples": 1, "groups": 1, "objects": [1]}
    assert record["sizes"] == [{"width": 40, "height": 40, "count": 3}]
    assert (record["notes"], record["contact_sheet"]) == (["a note"], "sheet.png")


def test_the_contact_sheet_is_written_and_not_replaced_unasked(open_as, tmp_path):
    open_as(DataSet("", "pairs", samples()))
    sheet = tmp_path / "sheet.png"
    assert check("set", "--output", "sheet.png").return_value == 0
    shape = cv2.imread(str(sheet)).shape
    assert shape[1] > 700
    sheet.write_bytes(b"mine")
    refused = check("set", "--output", "sheet.png")
    assert isinstance(refused.exception, OutputExistsError)
    assert refused.stdout == ""
    assert sheet.read_bytes() == b"mine"
    assert check("set", "--output", "sheet.png", "--force").return_value == 0
    assert cv2.imread(str(sheet)).shape == shape


def test_wrong_usage_exits_with_2(open_as):
    open_as(DataSet("", "pairs", samples()))
    for arguments in (["nowhere"], ["set", "--output", "sheet.jpg"]):
        result = CliRunner().invoke(cli, ["data", "check", *arguments])
        assert result.exit_code == 2, result.output


@pytest.fixture
def class_maps(tmp_path):
    """Pictures whose masks hold classes 1 and 2, and 255 for pixels that do not count."""
    values = np.zeros((40, 40), np.uint8)
    values[5:20, 5:20], values[22:36, 22:36], values[:, 38:] = 1, 2, 255
    for name, pixels in (("images", None), ("masks", values)):
        (tmp_path / "maps" / name).mkdir(parents=True)
        for at in range(3):
            shown = labelled(at).image if pixels is None else pixels
            cv2.imwrite(str(tmp_path / "maps" / name / f"{at}.png"), shown)
    return tmp_path / "maps"


def test_maps_of_classes_are_read_by_the_names_given_and_a_strange_number_is_told(class_maps):
    result = check(class_maps, "--classes", "cat, dog")
    assert result.return_value == 0, result.stdout
    assert "6 objects (cat 3, dog 3)" in result.stdout
    path = class_maps / "masks" / "1.png"
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    values[10, 10] = 7
    cv2.imwrite(str(path), values)
    result = check(class_maps, "--classes", "cat,dog")
    assert result.return_value == 1
    errors = [line for line in result.stdout.splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert "1.png holds 1, 2, 7, 255 besides 0, and there are 2 classes" in errors[0]


def test_without_the_names_the_message_says_which_option_gives_them(class_maps):
    result = check(class_maps)
    assert result.return_value == 1
    assert "give --classes (in Python classes=)" in result.stdout


def test_names_are_refused_that_named_data_does_not_have(open_as):
    open_as(DataSet("", "COCO instances", samples(), ("zebra",), named=("thing",)))
    result = check("set", "--classes", "zebra")
    assert isinstance(result.exception, click.UsageError)
    assert "set has the classes thing, and the names given would call thing zebra" in str(
        result.exception
    )


@pytest.mark.parametrize("named", [("1",), ("object",), ("zebra",), ()])
def test_data_may_be_given_names_that_only_numbers_its_classes(open_as, named):
    open_as(DataSet("", "pairs", samples(), ("zebra",), named=named))
    assert check("set", "--classes", "zebra").return_value == 0
