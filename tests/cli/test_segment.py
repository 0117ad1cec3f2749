"""``samphire segment``: files in, masks out, and a clear word for every mistake."""

import io
import json
import os
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


def save_picture(path, seed=0, size=(48, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photo(tmp_path):
    return save_picture(tmp_path / "photo.png")


@pytest.fixture
def invoke(tiny_weights, tmp_path, monkeypatch):
    """Run ``samphire segment`` with the tiny model inside an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))

    def run(*arguments, **options):
        line = ["segment", "--model", str(tiny_weights), *map(str, arguments)]
        return CliRunner().invoke(cli, line, standalone_mode=False, **options)

    return run


def test_one_click_writes_the_mask_that_python_gives(invoke, photo, tmp_path, loaded_engine):
    result = invoke(photo, "--point", "30,20", "--background-point", "70,40")
    assert result.return_value == 0, result.exception
    assert result.stdout == "photo.mask.png\n"
    expected = samphire.segment(loaded_engine, photo, points=[(30, 20), (70, 40)], labels=[1, 0])
    found = samphire.load_masks(tmp_path / "work" / "photo.mask.png")
    np.testing.assert_array_equal(found.to_array(), expected.to_array())
    assert "photo.png: 80x48, predicted IoU " in result.stderr
    assert "tiny (torch fast, cpu, float32)" in result.stderr


def test_boxes_are_one_object_each(invoke, photo):
    result = invoke(photo, "--box", "2,2,40,30", "--box", "30,10,70,40", "--format", "png,json")
    assert result.stdout.splitlines() == [
        "photo.mask_0.png",
        "photo.mask_1.png",
        "photo.mask.json",
    ]
    assert samphire.load_masks("photo.mask.json").prompt_index.tolist() == [0, 1]


def test_three_readings_on_request(invoke, photo):
    invoke(photo, "--point", "30,20", "--multimask", "--output", "three.json")
    assert samphire.load_masks("three.json").candidate.tolist() == [1, 2, 3]


def test_a_rough_mask_is_a_prompt(invoke, photo, tmp_path, loaded_engine):
    rough = np.zeros((48, 80), bool)
    rough[10:30, 20:60] = True
    Image.fromarray(rough).save(tmp_path / "rough.png")
    result = invoke(photo, "--mask", tmp_path / "rough.png", "--output", "mask.json")
    assert result.return_value == 0, result.exception
    expected = samphire.segment(loaded_engine, photo, mask=rough)
    np.testing.assert_array_equal(samphire.load_masks("mask.json").to_array(), expected.to_array())


def test_json_tells_all_scores_and_files(invoke, photo, loaded_engine):
    result = invoke(photo, "--point", "30,20", "--json", "--overlay", "--output", "out/")
    record = json.loads(result.stdout)
    masks = samphire.segment(loaded_engine, photo, points=[(30, 20)])
    assert record["outputs"] == ["out/photo.mask.png", "out/photo.overlay.png"]
    assert record["status"] == "done"
    assert (record["width"], record["height"]) == (80, 48)
    (told,) = record["masks"]
    assert told["area"] == masks.area[0]
    assert told["box"] == masks.boxes[0].tolist()
    assert told["predicted_iou"] == pytest.approx(float(masks.predicted_iou[0]), abs=1e-5)
    with Image.open("out/photo.overlay.png") as overlay:
        assert overlay.size == (80, 48)


def test_pipes(invoke, photo, loaded_engine):
    result = invoke("-", "--point", "30,20", "--output", "-", input=photo.read_bytes())
    assert result.return_value == 0, result.exception
    assert json.loads(result.stdout)["format"] == "samphire-masks"
    result = invoke(
        "-", "--point", "30,20", "--output", "-", "--format", "png", input=photo.read_bytes()
    )
    with Image.open(io.BytesIO(result.stdout_bytes)) as mask:
        expected = samphire.segment(loaded_engine, photo, points=[(30, 20)])
        np.testing.assert_array_equal(np.array(mask) > 0, expected.to_array()[0])


def test_an_output_is_not_replaced_without_force(invoke, photo):
    invoke(photo, "--point", "30,20")
    again = invoke(photo, "--point", "10,10")
    assert isinstance(again.exception, samphire.SamphireError)
    assert "photo.mask.png is there already: --force replaces it" in str(again.exception)
    assert invoke(photo, "--point", "10,10", "--force").return_value == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to segment: give --point"),
        (["--point", "30"], "'30' is not X,Y: expected numbers like 520,375"),
        (["--point", "30,a"], "'30,a' is not X,Y"),
        (["--box", "30,10,20"], "is not X0,Y0,X1,Y1: expected numbers like 520,375,900,610"),
        (["--box", "30,10,20,40"], "is empty: expected x0 < x1"),
        (["--point", "1,1", "--box", "1,1,9,9", "--box", "2,2,9,9"], "different numbers"),
        (["--point", "1,1", "--format", "gif"], "format 'gif' is not known"),
        (["--point", "1,1", "--output", "mask.gif"], "the suffix '.gif'"),
        (["--point", "1,1", "--output", "m.png", "--format", "png,json"], "name a folder"),
        (["--point", "1,1", "--output", "-", "--json"], "leave out --json"),
        (["--point", "nan,1"], "not all finite"),
        (["--mask", "nowhere.png"], "nowhere.png does not exist"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(invoke, photo, arguments, message):
    result = invoke(photo, *arguments, "--model", "no-such-model")
    assert result.exception.exit_code == 2
    assert message in result.exception.format_message()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["missing.jpg"], "missing.jpg: no such file or folder"),
        (["-", "."], "give it alone"),
        (["empty"], "no images in empty"),
        (["photos"], None),
        (["photos", "--output", "photos"], "masks would be taken for images"),
        (["photos", "--output", "-"], "several images need a folder"),
    ],
)
def test_inputs_that_cannot_work_are_wrong_usage(invoke, tmp_path, inputs, message):
    (tmp_path / "work" / "empty").mkdir()
    save_picture(tmp_path / "work" / "photos" / "a.png")
    inputs = [*inputs, "--output", "out"] if "empty" in inputs else inputs
    result = invoke(*inputs, "--point", "1,1")
    assert result.exception.exit_code == 2
    assert (message or "give --output FOLDER") in result.exception.format_message()


def test_a_folder_with_bad_files_is_done_but_for_them(invoke, tmp_path):
    for index in range(3):
        save_picture(tmp_path / "in" / f"{index}.png", index)
    save_picture(tmp_path / "in" / "deep" / "0.png", 7)
    save_picture(tmp_path / "in" / "small.png", 8, size=(10, 10))
    (tmp_path / "in" / "broken.jpg").write_bytes(b"<html>not an image</html>")
    result = invoke(tmp_path / "in", "--point", "30,20", "--output", "out")
    assert result.return_value == 1
    assert result.stdout.splitlines() == [
        f"out/{name}.mask.png" for name in ("0", "1", "2", "deep/0")
    ]
    assert "4 segmented, 0 done before, 2 failed; masks are in out" in result.stderr
    assert "  broken.jpg: broken.jpg is a web page" in result.stderr
    assert "  small.png: point (30, 20) lies outside small.png" in result.stderr
    again = invoke(tmp_path / "in", "--point", "30,20", "--output", "out")
    assert "0 segmented, 4 done before, 2 failed" in again.stderr


def test_images_that_differ_in_the_suffix_only_get_masks_of_their_own(invoke, tmp_path):
    save_picture(tmp_path / "in" / "a.png", 1)
    save_picture(tmp_path / "in" / "a.bmp", 2)
    save_picture(tmp_path / "in" / "b.bmp", 3)
    result = invoke(tmp_path / "in", "--point", "30,20", "--output", "out")
    assert sorted(result.stdout.split()) == [
        "out/a.bmp.mask.png",
        "out/a.png.mask.png",
        "out/b.mask.png",
    ]


def test_the_limit_of_pixels_can_be_moved(invoke, photo):
    result = invoke(photo, "--point", "30,20", "--max-pixels", "1000")
    assert "80x48" in str(result.exception)
    assert "--max-pixels" in str(result.exception)
    assert invoke(photo, "--point", "30,20", "--max-pixels", "4000").return_value == 0


def run_samphire(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "samphire.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"SAMPHIRE_CACHE": str(cwd / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_killed_half_way_it_resumes_and_gives_the_same_bytes(tiny_weights, tmp_path):
    count = 60
    for index in range(count):
        save_picture(tmp_path / "in" / f"{index:03}.png", index)
    line = ["segment", "in", "--point", "30,20", "--model", tiny_weights, "--format", "png,json"]

    journal = tmp_path / "out" / FILE_NAME
    process = subprocess.Popen(
        [sys.executable, "-m", "samphire.cli", *map(str, line), "--output", "out"],
        cwd=tmp_path,
        env=os.environ | {"SAMPHIRE_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not journal.exists() or journal.read_bytes().count(b'"done"') < 10:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    done = journal.read_bytes().count(b'"done"')
    assert 10 <= done < count

    resumed = run_samphire(*line, "--output", "out", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{count - done} segmented, {done} done before, 0 failed" in resumed.stderr
    touched = [
        name
        for name, when in before.items()
        if name.endswith((".mask.png", ".mask.json"))
        and (tmp_path / "out" / name).stat().st_mtime_ns != when
    ]
    assert len(touched) <= 2  # the one image in flight

    whole = run_samphire(*line, "--output", "whole", "--no-cache", cwd=tmp_path)
    assert whole.returncode == 0
    names = {name for name in os.listdir(tmp_path / "whole") if not name.startswith(".samphire")}
    assert len(names) == 2 * count
    resumed_names = {n for n in os.listdir(tmp_path / "out") if not n.startswith(".samphire")}
    assert resumed_names == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_a_users_mistake_gives_one_line_and_no_traceback(tiny_weights, photo, tmp_path):
    outside = run_samphire(
        "segment", photo, "--point", "300,300", "--model", tiny_weights, cwd=tmp_path
    )
    assert outside.returncode == 1
    assert outside.stdout == ""
    assert outside.stderr == (
        "samphire: point (300, 300) lies outside photo.png: expected 0 <= x < 80 and 0 <= y < 48 "
        "(points are x,y in pixels; were they swapped?)\n"
    )
    unknown = run_samphire("segment", photo, "--point", "3,3", "--model", "vit_q", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "--model: no model is called 'vit_q' (did you mean vit_t?)" in unknown.stderr
    usage = run_samphire("segment", photo, "--pont", "3,3", cwd=tmp_path)
    assert usage.returncode == 2
    assert "--point" in usage.stderr


def test_images_never_share_an_output(invoke, tmp_path):
    for index, name in enumerate(("a.png", "a.bmp", "a.png.bmp", "b.png.bmp")):
        save_picture(tmp_path / "in" / name, index)
    result = invoke(tmp_path / "in", "--point", "30,20", "--output", "out", "--force")
    assert sorted(result.stdout.split()) == [
        "out/a.bmp.mask.png",
        "out/a.png.bmp.mask.png",
        "out/a.png.mask.png",
        "out/b.png.mask.png",
    ]


def test_stdin_is_called_stdin_and_a_file_called_minus_is_a_file(invoke, photo, tmp_path):
    (tmp_path / "work" / "-").write_bytes(save_picture(tmp_path / "other.png", 1).read_bytes())
    result = invoke("-", "--point", "30,20", "--format", "json", input=photo.read_bytes())
    assert result.stdout == "stdin.mask.json\n"
    result = invoke("./-", "--point", "30,20", "--format", "json", input=b"")
    assert result.return_value == 0, result.exception
    assert result.stdout == "-.mask.json\n"
    invoke(tmp_path / "other.png", "--point", "30,20", "--format", "json")
    of_file, of_other, of_stdin = (
        samphire.load_masks(f"{name}.mask.json") for name in ("-", "other", "stdin")
    )
    assert of_file.equal(of_other)
    assert not of_file.equal(of_stdin)


def test_minus_is_stdin_even_beside_a_folder_called_minus(invoke, photo, tmp_path):
    (tmp_path / "work" / "-").mkdir()
    result = invoke("-", "--point", "30,20", input=photo.read_bytes())
    assert result.stdout == "stdin.mask.png\n"


def test_fewer_masks_with_force_leave_none_of_the_old(invoke, tmp_path):
    save_picture(tmp_path / "in" / "a.png")
    line = [tmp_path / "in", "--point", "30,20", "--output", "out"]
    assert len(invoke(*line, "--multimask").stdout.split()) == 3
    assert invoke(*line, "--force").stdout == "out/a.mask.png\n"
    assert sorted(path.name for path in (tmp_path / "work" / "out").glob("*.png")) == ["a.mask.png"]


def test_a_wrong_command_does_not_spoil_a_finished_folder(invoke, tmp_path):
    save_picture(tmp_path / "in" / "a.png")
    line = [tmp_path / "in", "--output", "out"]
    invoke(*line, "--point", "5,5")
    for wrong in ("9,9", "900,900"):
        assert invoke(*line, "--point", wrong).return_value == 1
    assert "0 segmented, 1 done before, 0 failed" in invoke(*line, "--point", "5,5").stderr


def test_a_box_over_the_edge_is_refused_as_in_python(invoke, photo, loaded_engine):
    result = invoke(photo, "--box", "0,0,80.7,48")
    assert isinstance(result.exception, samphire.errors.PromptError)
    with pytest.raises(samphire.errors.PromptError) as caught:
        samphire.segment(loaded_engine, photo, boxes=[(0, 0, 80.7, 48)])
    assert str(result.exception) == str(caught.value)


def test_the_limit_of_pixels_is_for_a_mask_too(invoke, photo, tmp_path):
    rough = save_picture(tmp_path / "rough.png", 1)
    result = invoke(photo, "--mask", rough, "--max-pixels", "1000")
    assert result.exception.exit_code == 2
    assert "rough.png" in result.exception.format_message()
    assert "--max-pixels" in result.exception.format_message()


def test_another_window_is_not_done_before(invoke, tmp_path):
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(0).integers(0, 4000, (48, 80)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "in" / "scan.png")
    line = [tmp_path / "in", "--point", "30,20", "--output", "out"]
    invoke(*line, "--window", "0,1000")
    assert "0 segmented, 1 done before" in invoke(*line, "--window", "0,1000").stderr
    other = invoke(*line, "--window", "0,3000")
    assert "0 segmented, 0 done before, 1 failed" in other.stderr  # --force replaces it
    again = invoke(*line, "--window", "0,3000", "--force")
    assert "1 segmented, 0 done before, 0 failed" in again.stderr
