"""``samphire predict``: an adapter's classes in files; and ``--adapter`` on other commands."""

import json
import os
from dataclasses import replace

import click
import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner
from PIL import Image
from random_adapters import adapter_of

import samphire
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder
from samphire.cli.__main__ import cli
from samphire.engines.load import adapt
from samphire.predict.everything import segment_everything
from samphire.predict.everything_settings import EverythingSettings
from samphire.weights.adapter_file import load_adapter

pytestmark = pytest.mark.slow

CLASSES = ("ulcer", "polyp", "fold")
ANY = ["--points-per-side", "3", "--min-predicted-iou", "0", "--min-stability", "0"]
SETTINGS = EverythingSettings(points_per_side=3, min_predicted_iou=0, min_stability=0)


def save_picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 80, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def without_first_class(adapter):
    """Its first class answers as the background does, and so no pixel belongs to it."""
    tensors = {name: value.clone() for name, value in adapter.tensors.items()}
    tokens = tensors["semantic_head.class_tokens"]
    tokens[1] = tokens[0]
    own = "semantic_head.hypernetworks.1."
    for name in [name for name in tensors if name.startswith(own)]:
        tensors[name] = tensors[name.replace(own, "semantic_head.hypernetworks.0.")]
    return replace(adapter, tensors=tensors)


@pytest.fixture
def photo(tmp_path):
    return save_picture(tmp_path / "photo.png")


@pytest.fixture
def photos(tmp_path):
    for index in range(3):
        save_picture(tmp_path / "photos" / f"{'abc'[index]}.png", seed=index)
    return tmp_path / "photos"


@pytest.fixture
def adapters(tiny_engine, tmp_path):
    """Files of adapters: with classes, of the encoder, and of the decoder alone."""
    made = {
        "classes": without_first_class(adapter_of(tiny_engine, Bottleneck(), CLASSES)),
        "lora": adapter_of(tiny_engine, Lora()),
        "decoder": adapter_of(tiny_engine, Decoder()),
    }
    for name, adapter in made.items():
        adapter.save(tmp_path / f"{name}.safetensors")
    return {name: tmp_path / f"{name}.safetensors" for name in made}


@pytest.fixture
def invoke(tiny_weights, tmp_path, monkeypatch):
    """Run a command with the tiny model inside an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))

    def run(command, *arguments, **options):
        line = [command, "--model", str(tiny_weights), *map(str, arguments)]
        return CliRunner().invoke(cli, line, standalone_mode=False, **options)

    return run


def test_classes_are_written_as_python_gives_them_without_those_not_found(
    invoke, photo, adapters, tiny_weights, tiny_engine
):
    result = invoke("predict", photo, "--adapter", adapters["classes"])
    assert result.return_value == 0, result.exception
    assert result.stdout == "photo.mask.json\n"
    expected = samphire.classify(adapt(tiny_engine, adapters["classes"]), photo)
    found = samphire.load_masks("photo.mask.json")
    assert expected.area.tolist()[0] == 0
    assert (found.name, found.label.tolist()) == (("polyp", "fold"), [2, 3])
    np.testing.assert_array_equal(found.to_array(), expected[1:].to_array())
    assert "ulcer: not found" in result.stderr
    assert "polyp: not found" not in result.stderr


def test_json_says_null_for_the_scores_that_classes_do_not_have(invoke, photo, adapters):
    def no_json(text):
        pytest.fail(f"{text} is not JSON")

    result = invoke("predict", photo, "--adapter", adapters["classes"], "--json")
    masks = json.loads(result.stdout, parse_constant=no_json)["masks"]
    assert [mask["name"] for mask in masks] == ["polyp", "fold"]
    assert {mask["predicted_iou"] for mask in masks} == {None}
    assert {mask["stability_score"] for mask in masks} == {None}
    options = {"segment": ["--point", "30,20"], "everything": ANY}
    for command, given in options.items():
        result = invoke(command, photo, *given, "--json", "--force")
        masks = json.loads(result.stdout, parse_constant=no_json)["masks"]
        assert masks
        for name in ("predicted_iou", "stability_score"):
            assert all(isinstance(mask[name], float) for mask in masks)


def test_a_label_map_has_one_value_a_class_whatever_was_found(invoke, photo, adapters, tiny_engine):
    invoke("predict", photo, "--adapter", adapters["classes"], "--format", "label-map")
    found = np.array(Image.open("photo.labels.png"))
    expected = samphire.classify(adapt(tiny_engine, adapters["classes"]), photo)
    np.testing.assert_array_equal(found, (expected.to_array() * [[[1]], [[2]], [[3]]]).sum(0))


def test_a_folder_is_told_in_json_drawn_and_not_done_twice(invoke, photos, adapters):
    line = ["predict", photos, "--adapter", adapters["classes"], "--overlay", "--json"]
    first = invoke(*line)
    assert first.return_value == 0, first.exception
    records = [json.loads(text) for text in first.stdout.splitlines()]
    assert [record["image"] for record in records] == ["a.png", "b.png", "c.png"]
    for record in records:
        names = [mask["name"] for mask in record["masks"]]
        assert sorted(names + record["not_found"]) == sorted(CLASSES)
        assert record["not_found"]
    assert sorted(name for name in os.listdir("photos-masks") if not name.startswith(".")) == [
        f"{name}{end}" for name in "abc" for end in (".mask.json", ".overlay.png")
    ]
    assert "0 segmented, 3 done before, 0 failed" in invoke(*line).stderr


def test_a_pipe_takes_the_classes_alone(invoke, photo, adapters):
    arguments = ["predict", "-", "--adapter", adapters["classes"], "--output", "-"]
    result = invoke(*arguments, input=photo.read_bytes())
    assert result.return_value == 0, result.exception
    assert [mask["name"] for mask in json.loads(result.stdout)["annotations"]] == ["polyp", "fold"]


def test_two_processes_predict_what_one_does(invoke, photos, adapters):
    line = ["predict", photos, "--adapter", adapters["classes"], "--no-cache"]
    assert invoke(*line, "--output", "one").return_value == 0
    result = invoke(*line, "--output", "two", "--jobs", "2")
    assert result.return_value == 0, result.exception
    for name in "abc":
        one, two = (samphire.load_masks(f"{folder}/{name}.mask.json") for folder in ("one", "two"))
        assert one.equal(two)
        assert len(one) == 2


def test_an_adapter_without_classes_is_for_other_commands(invoke, photo, adapters):
    result = invoke("predict", photo, "--adapter", adapters["lora"])
    assert isinstance(result.exception, click.UsageError)
    assert "has no classes: give it to samphire segment" in result.exception.message
    assert not os.listdir()


@pytest.mark.parametrize("command", ["predict", "segment", "embed", "everything"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"weights", "damaged or no safetensors file"),
        (safetensors.numpy.save({"x": np.zeros(1)}), "expected an adapter"),
    ],
    ids=["missing", "damaged", "other"],
)
def test_what_is_no_adapter_is_refused_before_the_model_is_loaded(
    invoke, photo, tmp_path, monkeypatch, command, content, message
):
    monkeypatch.setattr("samphire.engines.load.load", None)
    path = tmp_path / "some.safetensors"
    if content is not None:
        path.write_bytes(content)
    prompts = ["--point", "30,20"] if command == "segment" else []
    result = invoke(command, photo, *prompts, "--adapter", path)
    assert isinstance(result.exception, click.UsageError), result.exception
    assert f"--adapter: {path}" in result.exception.message
    assert message in result.exception.message


def test_an_adapter_of_another_model_is_refused(invoke, photo, adapters, tmp_path):
    other = replace(load_adapter(adapters["lora"]), base="vit_b", base_id="0" * 64)
    other.save(tmp_path / "other.safetensors")
    result = invoke("everything", photo, "--adapter", tmp_path / "other.safetensors")
    assert "was trained on vit_b" in str(result.exception)


@pytest.mark.parametrize("kind", ["lora", "decoder", "classes"])
def test_segment_wears_the_adapter(invoke, photo, adapters, tiny_engine, kind):
    result = invoke(
        "segment", photo, "--point", "30,20", "--format", "json", "--adapter", adapters[kind]
    )
    assert result.return_value == 0, result.exception
    worn = adapt(tiny_engine, adapters[kind])
    expected = samphire.segment(worn, photo, points=[(30, 20)])
    found = samphire.load_masks("photo.mask.json")
    np.testing.assert_array_equal(found.to_array(), expected.to_array())
    assert f"with adapter {worn.info.adapter[:8]}" in result.stderr
    plain = samphire.segment(tiny_engine, photo, points=[(30, 20)])
    assert plain.predicted_iou[0] != expected.predicted_iou[0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_everything_wears_the_adapter_in_every_process(invoke, photos, adapters, tiny_engine, jobs):
    result = invoke("everything", photos, *ANY, "--adapter", adapters["lora"], "--jobs", jobs)
    assert result.return_value == 0, result.exception
    expected = segment_everything(adapt(tiny_engine, adapters["lora"]), photos / "a.png", SETTINGS)
    found = samphire.load_masks("photos-masks/a.mask.json")
    np.testing.assert_allclose(found.predicted_iou, expected.predicted_iou, atol=1e-5)
    plain = segment_everything(tiny_engine, photos / "a.png", SETTINGS)
    assert not np.isin(plain.predicted_iou.round(4), found.predicted_iou.round(4)).all()


@pytest.mark.parametrize(
    "line",
    [
        ["segment", "--point", "30,20", "--output", "out"],
        ["everything", *ANY, "--output", "out"],
        ["embed", "--output", "out"],
    ],
    ids=lambda line: line[0],
)
def test_a_run_with_another_adapter_is_another_run(invoke, photos, adapters, line):
    command, *rest = line
    ran = {"segment": "3 segmented", "everything": "3 segmented", "embed": "0 done before"}[command]
    invoke(command, photos, *rest)
    assert "3 done before" in invoke(command, photos, *rest).stderr
    worn = [command, photos, *rest, "--adapter", adapters["lora"]]
    assert "3 failed" in invoke(*worn).stderr  # the outputs are another run's
    result = invoke(*worn, "--force")
    assert ran in result.stderr
    assert "0 failed" in result.stderr
    assert "3 done before" in invoke(*worn).stderr


def test_the_cache_keeps_the_embeddings_of_each_encoder_apart(invoke, photo, adapters):
    def embedded(*arguments):
        return json.loads(invoke("embed", photo, "--json", *arguments).stdout)["embedding"]

    assert [embedded(), embedded()] == ["made", "cached"]
    lora = ["--adapter", adapters["lora"]]
    assert [embedded(*lora), embedded(*lora)] == ["made", "cached"]
    assert embedded("--adapter", adapters["decoder"]) == "cached"  # the encoder is the base's


def test_a_deep_picture_is_read_in_the_window_that_the_adapter_was_tuned_in(
    invoke, adapters, tiny_engine, tmp_path
):
    deep = np.random.default_rng(0).integers(-500, 500, (48, 80)).astype(np.float32)
    Image.fromarray(deep).save(tmp_path / "scan.tif")
    adapter = replace(load_adapter(adapters["classes"]), window="-160,240")
    adapter.save(tmp_path / "ct.safetensors")
    engine = adapt(tiny_engine, tmp_path / "ct.safetensors")
    expected = samphire.classify(engine, samphire.embed(engine, deep, window=(-160, 240)))
    assert samphire.classify(engine, deep).equal(expected)
    assert not samphire.classify(adapt(tiny_engine, adapters["classes"]), deep).equal(expected)
    out = tmp_path / "scan.png"
    scan = tmp_path / "scan.tif"
    line = ("predict", scan, "--output", out, "--format", "label-map")
    result = invoke(*line, "--adapter", tmp_path / "ct.safetensors")
    assert result.return_value == 0, result.exception
    found = np.asarray(Image.open(out))
    assert np.array_equal(found, (expected.to_array() * expected.label[:, None, None]).sum(axis=0))
