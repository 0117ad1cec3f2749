"""``samphire view``: one page, whole in itself, of whatever masks a folder holds."""

import dataclasses
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.cli.__main__ import cli
from samphire.masks import Masks


@pytest.fixture
def folder(tmp_path):
    """Three pictures of discs in two folders; one has lost its picture."""
    y, x = np.mgrid[:60, :90]
    for index, name in enumerate(["a", "b", "sub/c"]):
        path = tmp_path / "out" / f"{name}.mask.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        discs = [np.hypot(y - 30, x - 30) < radius for radius in (25, 10)][: 2 - index % 2]
        masks = dataclasses.replace(
            Masks.from_arrays(discs),
            predicted_iou=np.linspace(0.9, 0.8, len(discs)),
            stability=np.full(len(discs), 0.97),
            name=("</script><b>", "part")[: len(discs)],
        )
        link = "../" * (1 + name.count("/")) + f"photos/{index}.png"
        samphire.save_masks(masks, path, picture=samphire.Picture(name, link))
    (tmp_path / "photos").mkdir()
    for index in range(2):
        Image.new("RGB", (90, 60), "teal").save(tmp_path / "photos" / f"{index}.png")
    return tmp_path / "out"


def invoke(*arguments):
    return CliRunner().invoke(cli, ["view", *map(str, arguments)], standalone_mode=False)


def data_of(path):
    text = path.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found)


def test_the_page_holds_every_picture_and_mask_and_reaches_for_nothing(folder):
    result = invoke(folder)
    assert result.return_value == 0, result.exception
    assert result.stdout.splitlines() == [str(folder / "index.html")]
    assert "3 pictures, 5 masks" in result.stderr
    assert "sub/c: its picture is not at" in result.stderr
    text = (folder / "index.html").read_text()
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "http" not in text.replace("http-equiv", "")
    found = data_of(folder / "index.html")
    assert [picture["name"] for picture in found["pictures"]] == ["a", "b", "sub/c"]
    assert [picture["jpeg"] is None for picture in found["pictures"]] == [False, False, True]
    assert found["pictures"][0]["masks"][0]["name"] == "</script><b>"
    assert "</script><b>" not in text


def test_it_is_the_same_page_again_and_replaces_only_its_own(folder):
    invoke(folder)
    first = (folder / "index.html").read_bytes()
    assert invoke(folder).return_value == 0
    assert (folder / "index.html").read_bytes() == first
    (folder / "index.html").write_text("<html>mine</html>")
    refused = invoke(folder)
    assert "--force" in str(refused.exception)
    assert (folder / "index.html").read_text() == "<html>mine</html>"
    assert invoke(folder, "--force").return_value == 0


def test_large_pictures_are_shrunk_with_their_masks_and_keep_their_numbers(folder, tmp_path):
    result = invoke(folder, "--max-side", "64", "--output", tmp_path / "small.html", "--json")
    record = json.loads(result.stdout)
    assert (record["pictures"], record["masks"], record["failed"]) == (3, 5, [])
    assert record["bytes"] == (tmp_path / "small.html").stat().st_size
    picture = data_of(tmp_path / "small.html")["pictures"][0]
    assert (picture["width"], picture["height"], picture["original"]) == (64, 43, "90x60")
    whole = samphire.load_masks(folder / "a.mask.json")
    assert picture["masks"][0]["area"] == whole.area[0]
    assert picture["masks"][0]["original_box"] == whole.boxes[0].tolist()
    assert max(picture["masks"][0]["box"]) <= 64


def test_a_bad_file_stops_nothing(folder, tmp_path):
    (folder / "b.mask.json").write_text("{")
    Image.new("RGB", (9, 6)).save(tmp_path / "photos" / "0.png")
    result = invoke(folder)
    assert result.return_value == 1
    assert "1 pictures" in result.stderr
    assert "b.mask.json" in result.stderr
    assert "is 9x6, the masks in" in result.stderr
    (folder / "sub" / "c.mask.json").write_text("{")
    (folder / "index.html").unlink()
    assert "none of 3 files can be shown" in str(invoke(folder).exception)
    assert not (folder / "index.html").exists()


@pytest.mark.parametrize(
    ("given", "message"), [("nowhere", "no such folder"), ("photos", "samphire convert makes them")]
)
def test_a_folder_without_masks_is_refused(folder, tmp_path, given, message):
    result = invoke(tmp_path / given)
    assert message in str(result.exception.message)
