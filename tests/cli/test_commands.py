"""The other commands, and what all commands promise."""

import io
import json
import subprocess
import sys

import click
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from samphire.cli.__main__ import cli
from samphire.cli.demo import demo_picture
from samphire.errors import OutputExistsError
from samphire.model import variants
from samphire.weights.catalog import CATALOG


def invoke(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)


def commands(group=cli, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_help_with_an_example(path):
    result = invoke(*path, "--help")
    assert result.return_value == 0
    command = dict(commands())[path]
    if not isinstance(command, click.Group):
        example = result.stdout.split("Example", 1)[1]
        assert any(
            line.startswith(f"    samphire {' '.join(path)}") for line in example.split("\n")
        )


@pytest.mark.parametrize(
    "path",
    [path for path, command in commands() if not isinstance(command, click.Group)],
    ids=" ".join,
)
def test_every_command_can_answer_in_json(path):
    assert "--json" in invoke(*path, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["segment", "--help"],
        ["embed", "--help"],
        ["view", "--help"],
        ["everything", "--help"],
        ["evaluate", "--help"],
        ["tune", "--help"],
        ["predict", "--help"],
        ["merge", "--help"],
        ["convert", "--help"],
        ["models", "list"],
        ["models", "where"],
    ],
    ids=" ".join,
)
def test_what_needs_no_model_loads_no_heavy_library(arguments):
    code = (
        "import sys; sys.argv[1:] = " + repr(arguments) + "\n"
        "from samphire.cli.__main__ import _run\n"
        "assert _run() == 0\n"
        "print([m for m in ('torch', 'cv2', 'numpy', 'PIL', 'requests') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file of LiteMedSAM's shapes, and an empty cache."""
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "lungs.pth"
    torch.save({"model": variants.lite_medsam().state_dict()}, path)
    return path


@pytest.mark.slow
def test_a_file_of_weights_is_imported_listed_and_converted(weights, tmp_path):
    result = invoke("models", "import", weights)
    assert "lungs.pth: taken off: the wrapper 'model'" in result.stderr
    assert "taken for lite_medsam" in result.stderr
    assert result.stdout.strip().endswith("lungs.safetensors")
    assert "lungs         here         imported" in invoke("models", "list").stdout
    record = json.loads(invoke("models", "list", "--json").stdout.splitlines()[-1])
    assert (record["name"], record["here"]) == ("lungs", True)
    output = tmp_path / "plain.pth"
    assert invoke("models", "convert", "lungs", output, "--layout", "original").exit_code == 0
    before, after = torch.load(weights)["model"], torch.load(output)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_an_import_tells_what_it_decided_as_json(weights):
    result = invoke("models", "import", weights, "--name", "mine", "--json")
    record = json.loads(result.stdout)
    assert (record["name"], record["variant"]) == ("mine", "lite_medsam")
    assert record["preprocessing"] == "lite-medsam-256"
    assert len(record["notes"]) == 2


@pytest.mark.slow
def test_a_converted_file_is_not_replaced_unasked(weights, tmp_path):
    output = tmp_path / "there.pth"
    output.write_bytes(b"mine")
    command = ["models", "convert", weights, output, "--layout", "original"]
    assert isinstance(invoke(*command).exception, OutputExistsError)
    assert output.read_bytes() == b"mine"
    assert invoke(*command, "--force").exit_code == 0
    assert torch.load(output)


def test_the_catalogue_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    assert "vit_t         not fetched" in invoke("models", "list").stdout
    records = [json.loads(line) for line in invoke("models", "list", "--json").stdout.splitlines()]
    assert [record["name"] for record in records] == list(CATALOG)
    assert not any(record["here"] for record in records)
    assert invoke("models", "where").stdout.strip() == str(tmp_path)
    assert invoke("models", "where", "vit_t").stdout.startswith(str(tmp_path))
    record = json.loads(invoke("models", "where", "vit_t", "--json").stdout)
    assert (record["here"], record["name"]) == (False, "vit_t")


def test_verify_says_missing_and_exits_1(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    result = invoke("models", "verify", "vit_t")
    assert result.return_value == 1
    assert result.stdout.startswith("vit_t: missing")
    assert invoke("models", "verify").return_value == 0


def test_an_unknown_model_is_wrong_usage():
    result = invoke("models", "fetch", "vit-t")
    assert result.exception.exit_code == 2
    assert "did you mean vit_t?" in result.exception.format_message()


def test_offline_without_weights_fails_and_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    result = invoke("models", "fetch", "vit_t", "--offline")
    assert "could not be had" in str(result.exception)
    assert str(tmp_path / "downloads") in str(result.exception)


def test_doctor_without_weights_leaves_the_self_test_out(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    result = invoke("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.return_value == 0
    assert report["self_test"]["result"] == "left out"
    assert report["cache"] == {
        "folder": str(tmp_path),
        "embeddings": "0 bytes",
        "models": dict.fromkeys(CATALOG, False),
    }
    assert report["devices"][0].startswith("cpu (")
    assert report["extras"]["torch"] == "installed"
    assert "self_test:\n  result" in invoke("doctor").stdout


def test_doctor_names_a_device_that_is_not_here(tmp_path, monkeypatch, vit_t_is_cached):
    result = invoke("doctor", "--json", "--device", "cuda:7")
    report = json.loads(result.stdout)
    assert result.return_value == 1
    assert "cuda:7" in report["self_test"]["reason"]


@pytest.fixture
def vit_t_is_cached(monkeypatch):
    """Enough of a cache for doctor to try: the device is refused before weights matter."""
    from samphire.engines import load
    from samphire.errors import EngineUnavailableError
    from samphire.weights import store

    def refuse(*_, device, **__):
        raise EngineUnavailableError(f"device {device!r} cannot be used here")

    monkeypatch.setattr(store, "is_cached", lambda entry: True)
    monkeypatch.setattr(load, "load", refuse)


def test_the_demo_picture_shows_the_photo_and_three_answers(tiny_engine):
    with Image.open(io.BytesIO(demo_picture(tiny_engine))) as picture:
        assert picture.size == (1328, 974)


def test_the_demo_does_not_replace_a_file_without_force(tmp_path):
    path = tmp_path / "demo.png"
    path.write_text("mine")
    result = invoke("demo", "--output", path)
    assert "--force" in str(result.exception)
    assert path.read_text() == "mine"


@pytest.mark.weights
def test_the_demo_writes_its_picture_and_says_where(tmp_path, vit_t):
    path = tmp_path / "demo.png"
    result = invoke("demo", "--output", path, "--device", "cpu")
    assert result.stdout.strip() == str(path)
    with Image.open(path) as picture:
        assert picture.size == (1328, 974)


@pytest.mark.weights
def test_doctors_self_test_is_good_with_the_real_weights(vit_t):
    result = invoke("doctor", "--json", "--device", "cpu")
    report = json.loads(result.stdout)
    assert result.return_value == 0
    assert report["self_test"]["result"] == "good"
    assert set(report["self_test"]["seconds"]) == {"load", "embed", "click"}


@pytest.mark.weights
def test_the_real_weights_verify(vit_t):
    assert invoke("models", "verify", "vit_t").stdout.startswith("vit_t: good")


def test_the_end_does_not_look_for_garbage():
    script = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0, gc.get_threshold()[0]))\n"
        "sys.argv = ['samphire', '--version']\n"
        "from samphire.cli.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "True 100000"
