"""The measurement of everything mode: what it counts, and that it goes on where it was stopped."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from samphire.masks import Masks
from samphire.masks.rle import encode, to_coco
from samphire.predict.everything_settings import PRESETS


@pytest.fixture(scope="module")
def quality(script):
    """The script, imported."""
    return script("everything_quality")


def objects():
    """One medium object, and one of 30 pixels inside it."""
    dense = np.zeros((2, 60, 80), np.bool_)
    dense[0, 10:50, 10:60] = dense[1, 20:25, 20:26] = True
    return dense


@pytest.fixture
def folder(tmp_path):
    """Two test images with the same two objects, and one of another split."""
    names = ["a.jpg", "b.jpg", "c.jpg"]
    rows = [
        f"{name},images/{name},{split}"
        for name, split in zip(names, ["test", "test", "train"], strict=True)
    ]
    (tmp_path / "split.csv").write_text("\n".join(["id,image,split", *rows]) + "\n")
    annotations = [
        {
            "image_id": index,
            "iscrowd": 0,
            "segmentation": {"size": [60, 80], "counts": to_coco(encode(mask))},
        }
        for index in range(3)
        for mask in objects()
    ]
    images = [
        {"id": index, "file_name": name, "height": 60, "width": 80}
        for index, name in enumerate(names)
    ]
    document = {"images": images, "annotations": annotations}
    (tmp_path / "instances.json").write_text(json.dumps(document))
    return tmp_path


class Stub:
    """A segmenter that finds the large object twice and the small one, and counts its calls."""

    def __init__(self):
        self.loads, self.calls = 0, []

    def load(self):
        self.loads += 1
        return self.segment

    def segment(self, path, settings):
        name = next(name for name, preset in PRESETS.items() if preset is settings)
        self.calls.append((path.name, name))
        dense = objects()[[0, 0, 1]]
        dense[1, 10, 10] = False
        return replace(Masks.from_arrays(dense), predicted_iou=np.array([0.9, 0.8, 0.7]))


@pytest.fixture
def runs(quality, folder):
    images = quality.test_images(folder)
    return [
        quality.Run(name, PRESETS[name], "vit_t", image) for image in images for name in PRESETS
    ]


def row(results, name):
    return next(row for row in results["rows"] if row["settings"] == name)


def test_images_of_the_test_split_are_measured(quality, folder):
    assert [image["file_name"] for image in quality.test_images(folder)] == ["a.jpg", "b.jpg"]


def test_each_setting_is_measured_once_an_image_and_last_steps_on_what_default_found(
    quality, folder, runs, tmp_path
):
    stub = Stub()
    results = quality.summary(quality.measure(runs, folder, tmp_path / "work", stub.load), "vit_t")
    assert stub.calls == [(image, name) for image in ("a.jpg", "b.jpg") for name in PRESETS]
    assert row(results, "default")["ar"] == 1
    assert row(results, "default")["duplicates"] == 1
    assert row(results, "default")["objects"] == 4
    no_duplicates = row(results, "default, no duplicates")
    assert (no_duplicates["masks"], no_duplicates["duplicates"]) == (2, 0)
    assert row(results, "default, no parts")["masks"] == 1
    assert row(results, "default, no parts")["small"] == 0
    assert {row["images"] for row in results["rows"]} == {2}


def test_what_was_measured_is_not_measured_again(quality, folder, runs, tmp_path):
    work = tmp_path / "work"
    first = quality.measure(runs, folder, work, Stub().load)
    again = Stub()
    assert quality.measure(runs, folder, work, again.load) == first
    assert again.loads == 0


def test_a_measurement_goes_on_after_a_line_that_a_kill_cut_off(quality, folder, runs, tmp_path):
    work = tmp_path / "work"
    quality.measure(runs, folder, work, Stub().load)
    whole = work.read_bytes().splitlines(keepends=True)
    for cut in (b"".join(whole[:-1]) + whole[-1][:30], whole[0][:30]):
        work.write_bytes(cut)
        stub = Stub()
        quality.measure(runs, folder, work, stub.load)
        assert len(stub.calls) == len(runs) - cut.count(b"\n")
        assert len([json.loads(line) for line in work.read_text().splitlines()]) == len(runs)


def test_other_settings_and_other_models_are_measured_anew(quality, folder, runs, tmp_path):
    quality.measure(runs, folder, tmp_path / "work", Stub().load)
    stub = Stub()
    quality.measure([replace(runs[0], model="vit_b")], folder, tmp_path / "work", stub.load)
    assert len(stub.calls) == 1
    finer = replace(runs[0].settings, points_per_side=64)
    assert not replace(runs[0], settings=finer).is_in(quality.read_lines(tmp_path / "work"))


def test_a_size_that_no_object_has_is_null_and_none(quality, folder, runs, tmp_path):
    lines = quality.measure(runs[:1], folder, tmp_path / "work", Stub().load)
    results = quality.summary(lines, "vit_t")
    assert row(results, "fast")["large"] is None
    json.dumps(results, allow_nan=False)
    assert "| fast | 1.000 | 1.000 | 1.000 | none | 3.0 | 1.0 |" in quality.table(results)


def test_duplicates_are_masks_nearly_equal_to_an_earlier_one(quality):
    columns = np.arange(100)[None, None, :]
    ends = np.array([100, 90, 80, 89])[:, None, None]  # IoU 0.9, 0.89 and 0.99 with one before
    assert quality.duplicates(Masks.from_arrays(columns < ends)) == 2
    assert quality.duplicates(Masks.from_arrays(columns < ends)[:1]) == 0


def run_script(quality, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["everything_quality.py", *map(str, arguments)])
    quality.main()


def test_results_are_written_and_printed_again_without_places_of_the_machine(
    quality, folder, tmp_path, monkeypatch, capsys
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "objects").symlink_to(folder)
    stub, results = Stub(), tmp_path / "results.json"
    monkeypatch.setattr(quality, "loaded", lambda model: stub.load())
    given = ("--data", tmp_path / "data", "--work", tmp_path / "work", "--results", results)
    run_script(quality, monkeypatch, *given, "--presets", "fast,default", "--limit", 1)
    assert stub.calls == [("a.jpg", "fast"), ("a.jpg", "default")]
    table = capsys.readouterr().out
    run_script(quality, monkeypatch, "--table", "--results", results)
    assert capsys.readouterr().out == table
    assert "| fast | 1.000" in table
    assert str(tmp_path) not in results.read_text()
    assert "--presets fast,default --limit 1" in json.loads(results.read_text())["command"]


def test_settings_take_turns_image_by_image(quality, folder, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "objects").symlink_to(folder)
    stub = Stub()
    monkeypatch.setattr(quality, "loaded", lambda model: stub.load())
    given = ("--data", tmp_path / "data", "--work", tmp_path / "work", "--results", tmp_path / "r")
    run_script(quality, monkeypatch, *given)
    assert stub.calls == [(image, name) for image in ("a.jpg", "b.jpg") for name in PRESETS]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--presets", "quick"), "expected some of fast, default, thorough"),
        (("--limit", "1"), "give --results FILE"),
        (("--presets", "fast"), "give --results FILE"),
        (("--table", "--results", "nowhere.json"), "measure first"),
    ],
)
def test_what_cannot_be_is_refused(quality, folder, monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run_script(quality, monkeypatch, "--data", folder, *arguments)
    assert message in capsys.readouterr().err


def test_the_real_test_split_has_nine_images_with_70_objects_and_a_crowd(quality, data):
    images = quality.test_images(data / "objects")
    truths = [quality.truth_of(data / "objects", image) for image in images]
    assert len(images) == 9
    crowds = np.concatenate([crowd for _, crowd in truths])
    assert np.count_nonzero(~crowds) == 70
    assert np.count_nonzero(crowds) == 1
