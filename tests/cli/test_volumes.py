"""Volumes from the command line: one window from tuning to evaluation, and slices of use."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from random_adapters import adapter_of
from volume_sets import HIGH, write_volumes

from samphire.adapters.partial import Decoder
from samphire.cli.__main__ import cli
from samphire.cli.engine_choice import EngineChoice
from samphire.errors import DataError, FileFormatError
from samphire.images.window import parse_window
from samphire.samples import open_data
from samphire.weights.adapter_file import load_adapter

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def volumes(tmp_path):
    return write_volumes(tmp_path / "volumes")


@pytest.fixture
def pictures(tmp_path, volumes):
    """The same data as a folder of pictures."""
    for each in open_data(volumes).samples[:4]:
        labelled = each.read()
        name = f"{each.volume.name}{each.volume.index}.png"
        mask = labelled.objects.to_array().any(axis=0).astype(np.uint8) * 255
        for kind, pixels in (("images", labelled.image), ("masks", mask)):
            (tmp_path / "pictures" / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "pictures" / kind / name), pixels)
    return tmp_path / "pictures"


@pytest.fixture
def tuned(volumes, tiny_weights, tmp_path):
    """Runs ``tune`` for an epoch in the folder ``run``."""
    config = tmp_path / "quick.toml"
    config.write_text('corrections = 1\naugment = "none"\nobjects = 2\n', encoding="utf-8")

    def run(*arguments):
        line = ["tune", volumes, "--epochs", 1, "--config", config, "--model", tiny_weights]
        return invoke(*line, "--output", tmp_path / "run", *arguments)

    return run


def invoke(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)


def test_the_window_of_tuning_is_that_of_evaluation(tuned, volumes, tiny_weights, tmp_path):
    window = f"0,{HIGH}"
    done = tuned("--window", window)
    assert done.return_value == 0, done.exception
    assert f"Black and white of a volume: {window}." in done.stderr
    run = tmp_path / "run"
    for name in ("adapter", "last"):
        assert load_adapter(run / f"{name}.safetensors").window == window
    assert f"Black and white of a volume: {window}." in (run / "report.html").read_text("utf-8")

    measure = ["evaluate", volumes, "--protocol", "box", "--model", tiny_weights, "--json"]
    worn = [*measure, "--adapter", run / "adapter.safetensors"]
    alone, same, own = (
        invoke(*line, *given)
        for line, given in ((measure, ()), (worn, ("--window", window)), (worn, ()))
    )
    assert own.return_value == 0, own.exception
    assert own.stdout == same.stdout
    record = json.loads(own.stdout)
    assert record["window"] == window
    # the base is measured in the adapter's window, too, else it would not be a comparison
    in_window = json.loads(invoke(*measure, "--window", window).stdout)
    assert record["base"]["figures"] == in_window["figures"]
    assert json.loads(alone.stdout)["window"] == str(parse_window("percentile"))
    other = invoke(*worn, "--window", "ct-lung")
    assert other.exception.exit_code == 2
    assert f"trained in the window {window}, and --window is -910,590" in other.exception.message


def test_slices_without_objects_cost_no_step_and_are_told_once(tuned, tmp_path):
    done = tuned()
    assert done.return_value == 0, done.exception
    assert "6 samples to train on, 6 to validate on, 6 held out" in done.stderr
    said = "train: left out, 6 without an object to prompt for: images/a.nii.gz#0000, "
    assert done.stderr.count(said) == 1
    steps = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").count("gradient_norm")
    assert steps == 3  # of 2 slices each
    adapter = load_adapter(tmp_path / "run" / "adapter.safetensors")
    assert adapter.data["left_out"] == {"train": 6, "val": 0, "test": 0}
    assert adapter.window == "percentile:0.5-99.5"


def test_classes_are_learned_from_all_slices_and_a_missing_one_is_warned_of(tuned):
    done = tuned("--task", "semantic", "--classes", "organ,tumour")
    assert done.return_value == 0, done.exception
    assert "12 samples to train on" in done.stderr
    assert "warning: no example of tumour to train on" in done.stderr


def test_a_run_does_not_go_on_in_another_window(tuned):
    assert tuned("--window", "0,500").return_value == 0
    other = tuned("--window", "0,400")
    assert isinstance(other.exception, DataError)
    assert "other settings or data" in str(other.exception)


def test_a_damaged_volume_is_told_by_name_and_left_out(tuned, volumes):
    path = volumes / "images" / "b.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])
    done = tuned("--classes", "organ", "--task", "both")
    assert done.return_value == 0, done.exception
    assert "train: left out, 6 that could not be read: images/b.nii.gz#0000 (b.nii" in done.stderr
    assert "(b.nii.gz cannot be read as NIfTI" in done.stderr
    assert "6 samples to train on, 6 to validate on" in done.stderr


def test_training_data_without_any_object_is_refused(tuned, volumes):
    empty = write_volumes(volumes.parent / "empty", label=0)
    for name in "ab":
        (empty / "labels" / f"{name}.nii.gz").replace(volumes / "labels" / f"{name}.nii.gz")
    done = tuned()
    assert isinstance(done.exception, DataError)
    assert "0 samples to train on" in str(done.exception)
    assert "train: left out, 12 without an object to prompt for" in done.stderr


def test_data_check_reads_in_a_window(volumes):
    done = invoke("data", "check", volumes, "--window", "ct-brain")
    assert "  Black and white of a volume: 0,80." in done.stdout.splitlines()
    done = invoke("data", "check", volumes)
    assert "  Black and white of a volume: percentile:0.5-99.5." in done.stdout.splitlines()


def test_a_window_for_pictures_is_refused(pictures, tiny_weights, tmp_path):
    commands = (
        ["data", "check", pictures],
        ["evaluate", pictures, "--protocol", "box", "--model", tiny_weights],
        ["tune", pictures, "--output", tmp_path / "run", "--model", tiny_weights],
    )
    for command in commands:
        done = invoke(*command, "--window", "ct-lung")
        assert isinstance(done.exception, FileFormatError)
        assert "pictures holds pictures (image and mask folders)" in str(done.exception)
        assert "-910,590 is for NIfTI volumes; leave it out" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_a_window_that_is_none_is_wrong_usage(volumes):
    done = invoke("data", "check", volumes, "--window", "bone")
    assert done.exception.exit_code == 2
    assert "'bone' is not known: expected ct-soft-tissue" in done.exception.message


@pytest.mark.parametrize("command", ["segment", "everything", "embed"])
def test_a_volume_given_as_a_picture_is_wrong_usage_that_says_what_to_do(command, volumes):
    more = {"segment": ["--point", "3,3"]}
    done = invoke(command, volumes / "images" / "a.nii.gz", *more.get(command, ()))
    assert done.exception.exit_code == 2
    assert "a.nii.gz: a volume, and this command takes pictures" in done.exception.message
    assert "samphire predict takes volumes" in done.exception.message


@pytest.fixture
def worn(tiny_engine, tmp_path):
    """Saves an adapter that was trained in a window."""

    def saved(window):
        adapter = replace(adapter_of(tiny_engine, Decoder(), ("organ",)), window=window)
        adapter.save(tmp_path / "adapter.safetensors")
        return str(tmp_path / "adapter.safetensors")

    return saved


@pytest.mark.parametrize("command", ["segment", "predict", "everything", "embed"])
def test_pictures_in_another_window_than_the_adapters_are_wrong_usage(command, worn, tmp_path):
    cv2.imwrite(str(tmp_path / "slice.png"), np.full((20, 20), 900, np.uint16))
    more = ["--point", "3,3"] if command == "segment" else []
    line = [command, tmp_path / "slice.png", *more, "--adapter", worn("-160,240")]
    refused = invoke(*line, "--window", "0,80")
    assert refused.exception.exit_code == 2
    assert "in the window -160,240, and --window is 0,80" in refused.exception.message


def test_its_own_window_any_for_percentiles_and_none_fit(worn, tiny_weights):
    for trained, given in (
        ("-160,240", (-160.0, 240.0)),
        ("-160,240", None),
        ("percentile:0.5-99.5", (3.0, 80.0)),
        ("", (3.0, 80.0)),
    ):
        EngineChoice(str(tiny_weights), worn(trained), None, "cpu", offline=True).check(given)
