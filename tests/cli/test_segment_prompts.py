"""``samphire segment --prompts``: boxes and points in, named masks out, for many images."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.cli.__main__ import cli

pytestmark = pytest.mark.slow


def save_picture(path, seed=0, size=(48, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def invoke(tiny_weights, tmp_path, monkeypatch):
    """Run ``samphire segment`` with the tiny model beside a folder ``in`` of three pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))
    for index, name in enumerate(("a.png", "b.png", "deep/c.png")):
        save_picture(tmp_path / "in" / name, index)

    def run(*arguments):
        line = ["segment", "--model", str(tiny_weights), *map(str, arguments)]
        return CliRunner().invoke(cli, line, standalone_mode=False)

    return run


@pytest.fixture
def boxes(tmp_path):
    def write(*rows, name="boxes.csv"):
        text = "\n".join(["image,x0,y0,x1,y1,label", *rows])
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return name

    return write


def test_boxes_in_masks_out_with_their_names(invoke, boxes, tiny_engine):
    table = boxes("a.png,2,2,40,30,dog", "deep/c.png,5,5,60,40,", "a.png,30,10,70,40,cat")
    result = invoke("in", "--prompts", table, "--output", "out", "--format", "json", "--overlay")
    assert result.return_value == 0, result.exception
    assert result.stdout.splitlines() == [
        "out/a.mask.json",
        "out/a.overlay.png",
        "out/deep/c.mask.json",
        "out/deep/c.overlay.png",
    ]
    found = samphire.load_masks("out/a.mask.json")
    expected = samphire.segment(tiny_engine, "in/a.png", boxes=[(2, 2, 40, 30), (30, 10, 70, 40)])
    np.testing.assert_array_equal(found.to_array(), expected.to_array())
    assert found.name == ("dog", "cat")
    assert found.label.tolist() == [0, 0]
    assert "without prompts in boxes.csv, left out: 1 image: b.png" in result.stderr
    assert "dog: predicted IoU" in result.stderr
    with Image.open("out/a.overlay.png") as overlay:
        assert overlay.size == (80, 48)


def test_points_boxes_and_objects_of_different_length_work_in_one_image(
    invoke, tmp_path, tiny_engine
):
    records = [
        {"points": [[30, 20], [60, 40]], "labels": [1, 0], "names": ["door"]},
        {"boxes": [[3, 3, 50, 40]]},
        {"points": [[10, 10]], "names": ["knob"]},
    ]
    (tmp_path / "p.json").write_text(json.dumps({"in/a.png": records}))
    result = invoke("--prompts", "p.json", "--output", "out", "--format", "json", "--multimask")
    assert result.return_value == 0, result.exception
    found = samphire.load_masks("out/in/a.mask.json")
    assert found.name == ("door",) * 3 + ("",) * 3 + ("knob",) * 3
    assert found.prompt_index.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    box = samphire.segment(tiny_engine, "in/a.png", boxes=[(3, 3, 50, 40)], multimask=True)
    np.testing.assert_array_equal(found.to_array()[3:6], box.to_array())


def test_coco_categories_become_labels_and_names(invoke, tmp_path):
    document = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 18, "name": "dog"}],
        "annotations": [
            {"image_id": 1, "category_id": 18, "bbox": [2, 2, 78.4, 30]},
            {"image_id": 1, "category_id": 18, "bbox": [2, 2, 0, 30]},
        ],
    }
    (tmp_path / "in" / "instances.json").write_text(json.dumps(document))
    result = invoke("--prompts", "in/instances.json", "--output", "out", "--format", "json")
    assert result.return_value == 0, result.exception
    found = samphire.load_masks("out/a.mask.json")
    assert (found.name, found.label.tolist()) == (("dog",), [18])
    assert "1 annotation left out: empty boxes" in result.stderr


def test_a_missing_image_is_told_and_the_others_are_done(invoke, boxes):
    table = boxes("a.png,2,2,40,30,", "gone.png,2,2,40,30,")
    result = invoke("in", "--prompts", table, "--output", "out")
    assert result.return_value == 1
    assert result.stdout == "out/a.mask.png\n"
    assert "1 segmented, 0 done before, 1 failed" in result.stderr
    assert "  gone.png: in/gone.png cannot be read: No such file or directory" in result.stderr


def test_a_prompt_outside_fails_that_image_alone(invoke, boxes):
    table = boxes("a.png,2,2,40,30,", "b.png,2,2,400,30,")
    result = invoke("in", "--prompts", table, "--output", "out")
    assert result.return_value == 1
    assert "  b.png: box (2, 2, 400, 30) reaches outside b.png" in result.stderr


def test_changed_prompts_are_done_again_and_unchanged_are_not(invoke, boxes, tmp_path):
    table = boxes("a.png,2,2,40,30,", "a.png,5,5,30,30,", "b.png,2,2,40,30,")
    arguments = ["in", "--prompts", table, "--output", "out"]
    invoke(*arguments)
    assert "0 segmented, 2 done before" in invoke(*arguments).stderr
    first = (tmp_path / "out" / "b.mask.png").read_bytes()
    boxes("a.png,2,2,40,30,", "a.png,5,5,30,30,", "b.png,20,2,70,40,")
    assert "1 segmented, 1 done before, 0 failed" in invoke(*arguments).stderr
    assert (tmp_path / "out" / "b.mask.png").read_bytes() != first
    boxes("a.png,2,2,40,30,", "b.png,20,2,70,40,")
    assert "1 segmented, 1 done before, 0 failed" in invoke(*arguments).stderr
    masks = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert masks == ["a.mask.png", "b.mask.png"]


def test_one_image_of_the_file_may_be_asked_for_alone(invoke, boxes):
    table = boxes("a.png,2,2,40,30,dog", "b.png,2,2,40,30,")
    result = invoke("in/a.png", "--prompts", table, "--output", "one.json")
    assert result.return_value == 0, result.exception
    assert samphire.load_masks("one.json").name == ("dog",)
    assert "in boxes.csv but not asked for, left out: 1 image: b.png" in result.stderr


def test_one_record_is_for_every_image(invoke, tmp_path):
    (tmp_path / "p.json").write_text('{"points": [[30, 20]]}')
    result = invoke("in", "--prompts", "p.json", "--output", "out")
    assert result.return_value == 0, result.exception
    assert "3 segmented" in result.stderr
    result = invoke("in/a.png", "--prompts", "p.json", "--output", "a.png")
    assert result.return_value == 0, result.exception


def test_names_that_climb_out_are_read_but_written_inside_the_output(invoke, boxes, tmp_path):
    save_picture(tmp_path / "elsewhere" / "x.png", 7)
    table = boxes(
        f"{tmp_path}/in/a.png,2,2,40,30,",
        "../elsewhere/x.png,2,2,40,30,",
        name="tables/boxes.csv",
    )
    result = invoke("--prompts", table, "--output", "out/deep")
    assert result.return_value == 0, result.exception
    assert result.stdout.splitlines() == ["out/deep/a.mask.png", "out/deep/x.mask.png"]


def test_a_name_that_fits_two_images_is_not_guessed(invoke, boxes, tmp_path):
    save_picture(tmp_path / "more" / "a.png", 7)
    table = boxes("a.png,2,2,40,30,")
    result = invoke("in", "more", "--prompts", table, "--output", "out")
    assert result.exception.exit_code == 2
    assert "a.png in boxes.csv could be in/a.png and more/a.png" in (
        result.exception.format_message()
    )


def test_two_spellings_of_one_image_are_refused(invoke, boxes, tmp_path):
    table = boxes("a.png,2,2,40,30,", f"{tmp_path}/in/a.png,2,2,40,30,")
    result = invoke("in", "--prompts", table, "--output", "out")
    assert "in/a.png twice: expected one spelling" in result.exception.format_message()


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (["a.png,2,2,40,x,"], ["in"], "boxes.csv cannot be used as prompts: line 2: y1 is 'x'"),
        (["z.png,2,2,4,4,"], ["in"], "no image that boxes.csv names is in in, for example z.png"),
        (["a.png,2,2,4,4,"], ["in", "--point", "3,3"], "--prompts is all prompts: leave out"),
        (["b.png,2,2,4,4,"], ["in/a.png"], "no image that boxes.csv names is in in/a.png"),
        (["a.png,2,2,4,4,"], ["in", "--prompts", "no.csv"], "No such file or directory: 'no.csv'"),
        (
            ["a.png,2,2,4,4,"],
            ["in", "--prompts", "in/a.png"],
            "expected CSV or JSON, saved as UTF-8",
        ),
        (["a.png,2,2,4,4,"], ["in", "--prompts", "one.json"], None),
    ],
)
def test_a_file_that_cannot_work_is_wrong_usage(invoke, boxes, tmp_path, rows, arguments, message):
    (tmp_path / "one.json").write_text('{"points": [[1, 2]]}')
    inputs = [] if message is None else arguments[:1]
    table = ["--prompts", boxes(*rows)]
    output = ["--output", "out", "--model", "no-such-model"]
    result = invoke(*inputs, *table, *arguments[1:], *output)
    assert result.exception.exit_code == 2
    expected = message or "one.json is for every image: give the images, or their folder"
    assert expected in result.exception.format_message()


def test_without_image_and_prompts_file_the_usage_is_told(invoke):
    result = invoke("--point", "3,3")
    assert result.exception.exit_code == 2
    assert "no image: give IMAGE, FOLDER, or - for stdin" in result.exception.format_message()


def test_a_box_of_a_file_over_the_edge_by_a_rounding_is_cut(invoke, boxes, tiny_engine):
    table = boxes("a.png,0,0,80.7,48,")
    result = invoke("in", "--prompts", table, "--output", "out", "--format", "json")
    assert result.return_value == 0, result.exception
    expected = samphire.segment(tiny_engine, "in/a.png", boxes=[(0, 0, 80, 48)])
    found = samphire.load_masks("out/a.mask.json")
    np.testing.assert_array_equal(found.to_array(), expected.to_array())


@pytest.mark.parametrize("name", ["/", "./", ".", ".."])
def test_a_folder_in_place_of_an_image_is_wrong_usage(invoke, boxes, name):
    table = boxes("a.png,2,2,40,30,", f"{name},2,2,40,30,")
    result = invoke("in", "--prompts", table, "--output", "out")
    assert result.exception.exit_code == 2
    assert f"line 3: {name!r} is a folder" in result.exception.format_message()


def test_a_name_too_long_for_a_file_fails_alone(invoke, boxes):
    name = "x" * 300
    result = invoke(
        "in", "--prompts", boxes(f"{name},2,2,9,9,", "a.png,2,2,40,30,"), "--output", "o"
    )
    assert result.return_value == 1, result.exception
    assert result.stdout == "o/a.mask.png\n"
    assert f"  {name}: in/{name} cannot be read: File name too long" in result.stderr


def test_two_spellings_of_a_missing_image_are_refused_too(invoke, boxes):
    table = boxes("a.png,2,2,40,30,", "gone.png,2,2,40,30,", "deep/../gone.png,2,2,9,9,")
    result = invoke("in", "--prompts", table, "--output", "out")
    assert "gone.png twice: expected one spelling" in result.exception.format_message()


def test_a_link_that_runs_in_a_circle_fails_alone(invoke, boxes, tmp_path):
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    table = boxes("a.png,2,2,40,30,", "loop.png,2,2,40,30,")
    result = invoke("in", "--prompts", table, "--output", "out")
    assert result.return_value == 1, result.exception
    assert "1 segmented, 0 done before, 1 failed" in result.stderr
    assert "left out: 1 image: b.png" not in result.stderr
    assert "left out: 2 images: b.png, deep/c.png" in result.stderr
