"""``samphire everything``: folders in, masks out, and a run that survives anything."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.batch.journal import FILE_NAME
from samphire.cli.__main__ import cli
from samphire.predict.everything import segment_everything
from samphire.predict.everything_settings import EverythingSettings

ANY = ["--points-per-side", "3", "--min-predicted-iou", "0", "--min-stability", "0"]
SETTINGS = EverythingSettings(points_per_side=3, min_predicted_iou=0, min_stability=0)


def save_picture(path, seed=0, size=(48, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photo(tmp_path):
    return save_picture(tmp_path / "photo.png")


@pytest.fixture
def photos(tmp_path):
    for index in range(4):
        save_picture(tmp_path / "photos" / f"{'abcd'[index]}.png", seed=index)
    return tmp_path / "photos"


@pytest.fixture
def line(tiny_weights):
    return ["everything", "--model", str(tiny_weights), *ANY]


@pytest.fixture
def invoke(line, tmp_path, monkeypatch):
    """Run ``samphire everything`` with the tiny model inside an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))

    def run(*arguments, **options):
        return CliRunner().invoke(
            cli, [*line, *map(str, arguments)], standalone_mode=False, **options
        )

    return run


def files(folder):
    """Names and bytes of all outputs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".samphire")
    }


def test_one_image_gives_what_python_gives_and_a_picture(invoke, photo, tiny_engine, tmp_path):
    result = invoke(photo)
    assert result.return_value == 0, result.exception
    assert result.stdout.splitlines() == ["photo.mask.json", "photo.overlay.png"]
    expected = segment_everything(tiny_engine, photo, SETTINGS)
    found = samphire.load_masks("photo.mask.json")
    assert len(found) == len(expected) >= 1
    np.testing.assert_array_equal(found.to_array(), expected.to_array())
    np.testing.assert_array_equal(found.point, expected.point)
    assert f"80x48, {len(found)} masks" in result.stderr
    assert json.loads((tmp_path / "work" / "photo.mask.json").read_text())["image"] == {
        "width": 80,
        "height": 48,
        "file_name": "photo.png",
        "link": "../photo.png",
    }


def test_a_folder_needs_nothing_else_and_is_not_done_twice(invoke, photos, tmp_path):
    first = invoke(photos)
    assert first.return_value == 0, first.exception
    folder = tmp_path / "work" / "photos-masks"
    made = files(folder)
    assert set(made) == {
        f"{name}{end}" for name in "abcd" for end in (".mask.json", ".overlay.png")
    }
    assert "4 segmented, 0 done before, 0 failed" in first.stderr
    again = invoke(photos)
    assert "0 segmented, 4 done before, 0 failed" in again.stderr
    assert files(folder) == made


@pytest.mark.slow
def test_the_published_layout_is_a_folder_an_image_or_a_list(invoke, photos, tmp_path):
    result = invoke(photos, "--layout", "segment-anything", "--output", "amg")
    assert result.return_value == 0, result.exception
    made = files(tmp_path / "work" / "amg")
    assert {"a/metadata.csv", "a/0.png", "d/metadata.csv"} <= made.keys()
    assert all(name.endswith((".png", ".csv")) for name in made)
    assert made["a/metadata.csv"].startswith(b"id,area,bbox_x0,")
    result = invoke(photos, "--layout", "segment-anything", "--format", "json", "--output", "rle")
    assert result.return_value == 0, result.exception
    assert {"a.json", "b.json"} <= files(tmp_path / "work" / "rle").keys()
    assert json.loads((tmp_path / "work" / "rle" / "a.json").read_text())[0]["segmentation"]


@pytest.mark.slow
def test_pictures_of_one_name_in_two_folders_are_told_apart(invoke, photos, tmp_path):
    save_picture(photos / "more" / "a.png", seed=9)
    invoke(photos, "--format", "coco")
    path = tmp_path / "work" / "photos-masks" / "instances.json"
    names = [image["file_name"] for image in json.loads(path.read_text())["images"]]
    assert names == ["a.png", "b.png", "c.png", "d.png", "more/a.png"]


@pytest.mark.slow
def test_a_folder_becomes_coco_labelme_and_label_maps_at_once(invoke, photos, tmp_path):
    result = invoke(photos, "--format", "coco,labelme,label-map", "--hierarchy")
    assert result.return_value == 0, result.exception
    folder = tmp_path / "work" / "photos-masks"
    document = json.loads((folder / "instances.json").read_text())
    assert [image["file_name"] for image in document["images"]] == [
        "a.png",
        "b.png",
        "c.png",
        "d.png",
    ]
    assert json.loads((folder / "a.json").read_text())["imagePath"] == "../../photos/a.png"
    assert (folder / "a.labels.png").is_file()
    again = invoke(photos, "--format", "coco,labelme,label-map", "--hierarchy")
    assert "4 done before" in again.stderr
    assert json.loads((folder / "instances.json").read_text()) == document


def test_a_bad_file_stops_nothing_and_is_named_at_the_end(invoke, photos):
    (photos / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    result = invoke(photos, "--json")
    assert result.return_value == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["status"] for record in records] == ["done", "failed", "done", "done"]
    assert "b.png" in result.stderr.splitlines()[-1]
    assert {"masks", "losses", "seconds", "engine"} <= records[0].keys()


def test_pipes_take_the_masks_alone(invoke, photo):
    result = invoke("-", "--output", "-", input=photo.read_bytes())
    assert result.return_value == 0, result.exception
    assert json.loads(result.stdout)["annotations"]


def test_outputs_are_not_replaced_without_force(invoke, photo):
    invoke(photo)
    result = invoke(photo)
    assert "photo.mask.json" in str(result.exception)
    assert "--force" in str(result.exception)
    assert invoke(photo, "--force").return_value == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "-", "--json"], "leave out --json"),
        (["--format", "xyz"], "format 'xyz' is not known"),
        (["--output", "-", "--format", "png"], "png is several files, and stdout is one"),
        (["--preset", "slow"], "'slow' is not one of"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--max-memory", "much"], "'much' is not a number of bytes"),
        (["--layout", "segment-anything", "--format", "coco"], "png or json, not coco"),
        (["--model", "vit_z"], "vit_z"),
    ],
)
def test_what_is_wrong_is_said_before_the_model_is_loaded(invoke, photo, arguments, message):
    result = invoke(photo, *arguments)
    assert message in str(getattr(result.exception, "message", result.exception))
    assert not os.listdir()


def test_a_budget_that_is_too_small_fails_each_image_with_the_numbers(invoke, photos):
    result = invoke(photos, "--max-memory", "10MB")
    assert result.return_value == 1
    assert "are needed, and 10 MB allowed" in result.stderr


@pytest.mark.slow
def test_two_jobs_at_the_same_threads_write_the_same_bytes(line, photos, tmp_path):
    def run(folder, *arguments):
        environment = os.environ | {
            "SAMPHIRE_CACHE": str(tmp_path / "cache"),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "samphire.cli", *line, str(photos), *arguments]
        done = subprocess.run(
            [*command, "--output", str(folder), "--no-cache"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return files(folder)

    assert run(tmp_path / "one") == run(tmp_path / "two", "--jobs", "2")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_runs_killed_at_random_end_as_one_that_was_not(line, photos, tmp_path, jobs):
    for index in range(4, 10):
        save_picture(photos / f"{index}.png", seed=index)
    environment = os.environ | {
        "SAMPHIRE_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }

    def start(folder):
        command = [sys.executable, "-m", "samphire.cli", *line, str(photos), "--jobs", jobs]
        return subprocess.Popen(
            [*command, "--output", str(folder), "--no-cache", "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    out, _ = start(whole).communicate()
    assert out.count('"done"') == 10
    chance = random.Random(int(jobs))  # noqa: S311 - when to kill is no secret
    kills = 0
    for _ in range(2):
        process = start(killed)
        deadline = time.monotonic() + 60
        before = len(files(killed)) if killed.exists() else 0
        while process.poll() is None and time.monotonic() < deadline:
            if killed.exists() and len(files(killed)) > before + chance.randint(0, 4):
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    journal = killed / FILE_NAME
    finished = sum('"done"' in line for line in journal.read_text().splitlines())
    out, _ = start(killed).communicate()
    assert kills
    assert out.count('"done"') == 10 - finished
    assert files(killed) == files(whole)
