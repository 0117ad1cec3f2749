"""``samphire view``: the results in a folder as one page."""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.cli.__main__ import cli
from samphire.errors import FileFormatError, OutputExistsError
from samphire.formats import Picture
from samphire.masks import Masks


def save_result(folder, name, *, link=None, size=(48, 80), masks=2):
    """A file of masks, and its picture in a folder beside."""
    photo = folder.parent / "photos" / f"{name}.png"
    photo.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((48, 80, 3), 90, np.uint8)).save(photo)
    path = folder / f"{name}.mask.json"
    dense = np.zeros((masks, *size), bool)
    dense[:, 10:20, 10:30] = True
    picture = Picture(photo.name, link if link is not None else os.path.relpath(photo, path.parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    samphire.save_masks(Masks.from_arrays(dense), path, picture=picture)
    return path


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of two results, one of them deeper."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "out"
    save_result(folder, "a")
    save_result(folder / "day1", "b", masks=3)
    return folder


def view(*arguments):
    return CliRunner().invoke(cli, ["view", *map(str, arguments)], standalone_mode=False)


def records(path):
    """The pictures of a page."""
    found = re.findall(r'<script type="application/json" class="sheet">(.*)</script>', _text(path))
    return [json.loads(text) for text in found]


def _text(path):
    return path.read_text(encoding="utf-8")


def test_every_result_of_a_folder_is_on_the_page(results):
    result = view("out")
    assert result.return_value == 0, result.exception
    assert result.stdout == "out/index.html\n"
    page = results / "index.html"
    size = page.stat().st_size / 1000
    assert f"2 pictures, 5 masks, {size:.1f} kB, 0 failed" in result.stderr
    first, second = records(page)
    assert (first["name"], len(first["masks"])) == ("a", 2)
    assert (second["name"], len(second["masks"])) == ("day1/b", 3)
    assert "<title>out · masks</title>" in _text(page)


def test_pictures_are_found_from_the_file_and_shrunk(results):
    view("out", "--max-side", 40)
    for record in records(results / "index.html"):
        data = base64.b64decode(record["jpeg"].removeprefix("data:image/jpeg;base64,"))
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (record["width"], record["height"]) == (40, 24)


def test_a_picture_is_found_by_its_name_where_there_is_no_link(results):
    save_result(results, "c", link="")
    os.replace(results.parent / "photos" / "c.png", results / "c.png")
    view("out")
    (record,) = [record for record in records(results / "index.html") if record["name"] == "c"]
    assert record["jpeg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"link": "gone.png"}, "gone.png"),
        ({"size": (48, 90)}, "c.png is 80x48, its masks are for 90x48"),
        ({"link": "a.mask.json"}, "a.mask.json"),
        ({"link": "pipe.png"}, "pipe.png is a pipe"),
        ({"link": "\0"}, "null"),
    ],
    ids=["missing", "another size", "no picture", "a pipe", "no path"],
)
def test_masks_without_their_picture_are_shown_and_told(results, options, message):
    os.mkfifo(results / "pipe.png")
    save_result(results, "c", **options)
    result = view("out")
    assert result.return_value == 0, result.exception
    (line,) = [line for line in result.stderr.splitlines() if "without its picture" in line]
    assert line.startswith("  without its picture: c.mask.json: ")
    assert message in line
    (record,) = [record for record in records(results / "index.html") if record["name"] == "c"]
    assert record["jpeg"] is None
    assert len(record["masks"]) == 2


def test_a_file_that_does_not_tell_its_picture_is_told(results):
    samphire.save_masks(Masks.from_arrays(np.ones((1, 4, 4))), results / "c.mask.json")
    result = view("out")
    assert "c.mask.json: the file does not say where its picture is" in result.stderr
    assert "3 pictures, 6 masks, " in result.stderr


def test_bad_files_are_told_and_skipped(results):
    (results / "bad.mask.json").write_bytes(b"{")
    os.mkfifo(results / "pipe.mask.json")
    huge = {"image": {"width": 1 << 20, "height": 1 << 20}, "annotations": []}
    huge["annotations"] = [{"segmentation": {"size": [1 << 20, 1 << 20], "counts": [0]}}]
    (results / "huge.mask.json").write_text(json.dumps(huge))
    huge = {"image": {"width": 60_000, "height": 60_000}, "annotations": []}
    (results / "large.mask.json").write_text(json.dumps(huge))
    result = view("out")
    assert result.return_value == 1
    assert "2 pictures, 5 masks, " in result.stderr
    assert ", 4 failed" in result.stderr
    for line in (
        "  bad.mask.json: out/bad.mask.json is not a file of masks",
        "  pipe.mask.json: out/pipe.mask.json is a pipe, a socket or a device",
        "  huge.mask.json: out/huge.mask.json holds an image of 1048576x1048576",
        "  large.mask.json: large.mask.json is 60000x60000, 3600 megapixels",
    ):
        assert line in result.stderr
    assert len(records(results / "index.html")) == 2


def test_where_nothing_can_be_read_no_page_is_left(tmp_path):
    (tmp_path / "bad.mask.json").write_bytes(b"{")
    result = view(tmp_path)
    assert isinstance(result.exception, FileFormatError)
    assert "none of 1 files of masks can be read" in str(result.exception)
    assert "  bad.mask.json: " in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.mask.json"]


def test_json_tells_all(results):
    save_result(results, "c", link="gone.png")
    (results / "bad.mask.json").write_bytes(b"{")
    result = view("out", "--json")
    told = json.loads(result.stdout)
    assert told["page"] == "out/index.html"
    assert told["bytes"] == (results / "index.html").stat().st_size
    assert (told["pictures"], told["masks"]) == (3, 7)
    assert [entry["file"] for entry in told["failed"]] == ["bad.mask.json"]
    (plain,) = told["without_picture"]
    assert plain.startswith("c.mask.json: ")


def test_a_page_of_ours_is_replaced_and_any_other_file_only_with_force(results):
    assert view("out/day1", "--output", "out/index.html").return_value == 0
    save_result(results, "c")
    assert view("out").return_value == 0
    assert len(records(results / "index.html")) == 3
    (results / "index.html").write_text("<!doctype html><title>mine</title>")
    result = view("out")
    assert isinstance(result.exception, OutputExistsError)
    assert "--force" in str(result.exception)
    assert "mine" in _text(results / "index.html")
    assert view("out", "--force").return_value == 0
    assert len(records(results / "index.html")) == 3


def test_the_page_goes_where_it_is_told_and_is_the_same_again(results):
    for name in ("one.html", "new/two.html"):
        result = view("out", "--output", name)
        assert (result.return_value, result.stdout) == (0, f"{name}\n")
    one, two = results.parent / "one.html", results.parent / "new" / "two.html"
    assert one.read_bytes() == two.read_bytes()
    assert not (results / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "does not exist"),
        (["photos"], "no masks in photos: expected files that end in .mask.json"),
        (["out", "--output", "-"], "a page is one file, such as masks.html"),
        (["out", "--output", "photos"], "a page is one file, such as masks.html"),
        (["out", "--max-side", "3"], "3 is not in the range"),
    ],
)
def test_wrong_usage_is_told(results, arguments, message):
    result = view(*arguments)
    assert result.exception.exit_code == 2
    assert message in result.exception.format_message()
