"""``samphire convert``: one format into another, files and folders, nothing lost in silence."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.cli.__main__ import cli
from samphire.formats import FORMATS, Picture
from samphire.masks import Masks


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def invoke(*arguments):
    return CliRunner().invoke(cli, ["convert", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def masks(rng):
    """Two overlapping ones, one with a hole."""
    dense = np.zeros((2, 12, 16), np.bool_)
    dense[0, 1:9, 1:10] = dense[1, 6:11, 6:15] = True
    dense[0, 3:5, 3:5] = False
    return dataclasses.replace(
        Masks.from_arrays(dense), predicted_iou=np.array([0.9, 0.8]), name=("cat", "dog")
    )


@pytest.fixture
def folder(masks, tmp_path):
    """Masks of three pictures, as ``samphire everything`` leaves them, and the pictures."""
    for name in ("a", "b.v2", "sub/c"):
        picture = tmp_path / "photos" / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), "teal").save(picture)
        path = tmp_path / "masks" / f"{name}.mask.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        link = Path(os.path.relpath(picture, path.parent)).as_posix()
        samphire.save_masks(masks, path, picture=Picture(f"{name}.png", link))
        (path.parent / f"{picture.stem}.overlay.png").write_bytes(picture.read_bytes())
    return tmp_path / "masks"


READABLE = [
    name
    for name, kind in FORMATS.items()
    if kind.read and name not in {"json", "png", "yolo", "segment-anything"}
]


@pytest.mark.parametrize("name", READABLE)
def test_a_file_goes_there_and_back(name, masks):
    samphire.save_masks(masks, "in.mask.json")
    suffix = FORMATS[name].suffix
    there = invoke("in.mask.json", f"there{suffix}", "--format", name)
    assert there.return_value == 0, there.exception
    assert there.stdout.splitlines()[0] == f"there{suffix}"
    assert "16x12, 2 masks" in there.stderr
    back = invoke(f"there{suffix}", "back.masks.npz", "--from", name)
    assert back.return_value == 0, back.exception
    found = samphire.load_masks("back.masks.npz")
    if FORMATS[name].losses(masks):
        assert "place for" in there.stderr or "under smaller" in there.stderr
    else:
        assert found.equal(masks)


def test_a_folder_becomes_files_beside_each_other_and_one_whole_file(folder, masks):
    result = invoke(folder, "out", "--format", "coco,labelme")
    assert result.return_value == 0, result.exception
    assert result.stdout.splitlines()[-1] == "out/instances.json"
    assert "3 converted, 0 done before, 0 failed" in result.stderr
    for name in ("a", "b.v2", "sub/c"):
        assert samphire.load_masks(f"out/{name}.json").equal(masks)
        assert samphire.load_masks(f"out/{name}.coco.json").equal(masks)
    assert len(json.loads(Path("out/instances.json").read_text())["images"]) == 3
    again = invoke(folder, "out", "--format", "coco,labelme")
    assert "0 converted, 3 done before, 0 failed" in again.stderr


def test_a_folder_becomes_one_file_and_comes_apart_again(folder, masks):
    whole = invoke(folder, "instances.json", "--format", "coco")
    assert whole.return_value == 0, whole.exception
    names = [
        image["file_name"] for image in json.loads(Path("instances.json").read_text())["images"]
    ]
    assert names == ["a.png", "b.v2.png", "sub/c.png"]
    apart = invoke("instances.json", "apart", "--format", "json")
    assert apart.return_value == 0, apart.exception
    for name in ("a", "b.v2", "sub/c"):
        assert samphire.load_masks(f"apart/{name}.mask.json").equal(masks)
    one = invoke("instances.json", "one.geojson", "--picture", "c.png")
    assert one.return_value == 0, one.exception
    assert samphire.load_masks("one.geojson").equal(masks)
    many = invoke("instances.json", "one.geojson")
    assert "is about 3 pictures, and geojson about one" in str(many.exception)


def test_pictures_are_found_for_formats_that_need_them(folder, masks):
    cut = invoke(folder, "cut", "--format", "cutouts,labelme", "--images", "photos")
    assert cut.return_value == 0, cut.exception
    with Image.open("cut/sub/c.cutout_1.png") as picture:
        assert (picture.size, picture.mode) == ((9, 5), "RGBA")
    assert json.loads(Path("cut/sub/c.json").read_text())["imagePath"] == "../../photos/sub/c.png"
    linked = invoke(folder, "cut2", "--format", "cutouts")
    assert linked.return_value == 0, linked.exception
    samphire.save_masks(masks, "lone.mask.json")
    without = invoke("lone.mask.json", "lone.cutout.png", "--format", "cutouts")
    assert "cut-outs need the photo" in str(without.exception)
    Path("photos").rename("elsewhere")
    invoke(folder, "yolo", "--format", "yolo")
    back = invoke("yolo", "back", "--from", "yolo", "--format", "npz", "--images", "elsewhere")
    assert back.return_value == 0, back.exception
    assert len(samphire.load_masks("back/a.masks.npz")) == 2
    lost = invoke("yolo", "back2", "--from", "yolo", "--format", "npz")
    assert "do not say the size of the picture" in lost.stderr


def test_losses_are_told_for_each_image_before_the_end(folder):
    result = invoke(folder, "out", "--format", "label-map,yolo")
    lines = result.stderr.splitlines()
    assert (
        "a: 1 mask of 2 under smaller ones: a label map gives each pixel to the smallest" in lines
    )
    assert "a: 1 mask with holes, which YOLO cannot hold: they are filled" in lines


def test_a_bad_file_stops_nothing(folder):
    (folder / "a.mask.json").write_text('{"image": {}, "annotations": 3, "format": "x"}')
    result = invoke(folder, "out", "--format", "coco")
    assert result.return_value == 1
    assert "2 converted, 0 done before, 1 failed" in result.stderr
    assert "a.mask.json" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json", "out.geojson"], "none.json: no such file or folder"),
        (["in.mask.json", "out/"], "say into what, with --format NAMES"),
        (["in.mask.json", "out.xyz"], "'.xyz'"),
        (["in.mask.json", "out.json", "--from", "xyz"], "format 'xyz' is not known"),
        (["in.mask.json", "out.json", "--images", "nowhere"], "--images nowhere: no such folder"),
        (["empty", "out.json"], "no files of masks in empty"),
        (["mixed", "out.json"], "files of several formats"),
        (["in.mask.json", "in.mask.json"], "--force"),
    ],
)
def test_what_is_wrong_is_said(masks, arguments, message, tmp_path):
    samphire.save_masks(masks, "in.mask.json")
    for name in ("empty", "mixed"):
        (tmp_path / name).mkdir()
    samphire.save_masks(masks, "mixed/a.mask.json")
    samphire.save_masks(masks, "mixed/b.geojson")
    result = invoke(*arguments)
    assert message in str(getattr(result.exception, "message", result.exception))
