"""``samphire tune`` on data with faults: told before the first step, never paid later."""

import csv
import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tuning.discs import read

from samphire.cli.__main__ import cli
from samphire.tuning import loop
from samphire.weights.adapter_file import load_adapter

PLACES = ("train", "train", "train", "train", "val", "val", "test", "test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    """Eight pictures with a disc each, and a table that says which is where."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [("image", "mask", "split")]
    for index, place in enumerate(PLACES):
        labelled = read(index, 1)
        cv2.imwrite(str(folder / f"{index}.png"), labelled.image[:, :, ::-1])
        mask = labelled.objects.to_array()[0].astype(np.uint8)
        cv2.imwrite(str(folder / f"{index}-mask.png"), mask)
        rows.append((f"{index}.png", f"{index}-mask.png", place))
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture
def tune(data, tiny_weights, tmp_path):
    """Runs the command on the data, an epoch of it."""
    config = tmp_path / "quick.toml"
    config.write_text('batch_size = 4\ncorrections = 0\naugment = "none"\n', encoding="utf-8")
    given = ["tune", data / "data.csv", "--config", config, "--model", tiny_weights]
    given += ["--epochs", 1, "--output", tmp_path / "run"]

    def run(*more):
        return CliRunner().invoke(cli, [*map(str, given), *map(str, more)])

    return run


def spoil(data, *indices):
    for index in indices:
        (data / f"{index}.png").write_bytes(f"no picture, {index}".encode())


def empty(data, *indices):
    for index in indices:
        cv2.imwrite(str(data / f"{index}-mask.png"), np.zeros((48, 64), np.uint8))


def steps(run):
    log = run / "log.jsonl"
    return log.read_text().count('"loss"') if log.exists() else 0


@pytest.mark.slow
def test_what_is_left_out_of_validation_and_test_is_left_out_of_measuring(data, tune, tmp_path):
    spoil(data, 1, 2, 4, 6)
    done = tune("--json")
    assert done.exit_code == 0, done.output
    for said in ("train: left out, 2 that", "val: left out, 1 that", "test: left out, 1 that"):
        assert said in done.stderr
    for index in (1, 2, 4, 6):  # each with its reason
        assert f"{index}.png (" in done.stderr
    assert "2 samples to train on, 1 to validate on, 1 held out" in done.stderr
    results = json.loads(done.stdout)
    assert results["split"] == "test"
    assert {each["cases"] for each in results["protocols"]} == {1}
    adapter = load_adapter(tmp_path / "run" / "adapter.safetensors")
    assert adapter.data["left_out"] == {"train": 2, "val": 1, "test": 1}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "val: left out, 1 that could not be read" in page


@pytest.mark.parametrize(
    ("fault", "counts"),
    [(spoil, "2 cannot be read, 0 have no object"), (empty, "0 cannot be read, 2 have no object")],
)
@pytest.mark.parametrize("task", [(), ("--task", "semantic", "--classes", "disc")])
def test_validation_on_nothing_is_refused_before_the_first_step(
    fault, counts, task, data, tune, tmp_path
):
    fault(data, 4, 5)
    done = tune(*task)
    assert done.exit_code == 1
    assert f"val: none of 2 can be measured ({counts})" in str(done.exception)
    assert "--splits" in str(done.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [spoil, empty])
@pytest.mark.parametrize("task", [(), ("--task", "semantic", "--classes", "disc")])
def test_a_test_set_with_nothing_to_measure_is_told_before_and_val_measured(
    fault, task, data, tune, tmp_path
):
    fault(data, 6, 7)
    done = tune(*task)
    assert done.exit_code == 0, done.output
    said = done.stderr
    assert said.index("test: none of 2 can be measured") < said.index("estimated")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["split"] == "val"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "new images will do a little worse" in page
    assert "test: none of 2 can be measured" in page


@pytest.mark.slow
def test_a_test_set_that_was_mended_is_measured_without_training_again(data, tune, tmp_path):
    kept = (data / "6.png").read_bytes()
    spoil(data, 6, 7)
    assert tune().exit_code == 0
    weights = (tmp_path / "run" / loop.LAST).read_bytes()
    log = (tmp_path / "run" / loop.LOG).read_bytes()
    (data / "6.png").write_bytes(kept)
    done = tune()
    assert done.exit_code == 0, done.output
    assert "test: changed since the splits were made, 1: 6.png" in done.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["split"] == "test"
    assert (tmp_path / "run" / loop.LAST).read_bytes() == weights
    assert (tmp_path / "run" / loop.LOG).read_bytes() == log
    # what was measured once is not changed in silence afterwards
    spoil(data, 6)
    changed = tune()
    assert changed.exit_code == 1
    assert "have changed: 6.png" in str(changed.exception)


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 4])
def test_a_change_in_what_was_trained_or_validated_on_is_refused(index, data, tune):
    spoil(data, 6, 7)
    assert tune().exit_code == 0
    (data / f"{index}.png").write_bytes((data / "1.png").read_bytes())
    changed = tune()
    assert changed.exit_code == 1
    assert f"have changed: {index}.png" in str(changed.exception)


@pytest.mark.slow
def test_a_cache_that_is_too_small_is_told_before_the_start_and_bounds_what_is_kept(
    tune, tmp_path, monkeypatch
):
    monkeypatch.setenv("SAMPHIRE_MAX_CACHE", "40kB")
    done = tune()
    assert done.exit_code == 0, done.output
    said = done.stderr
    assert said.count("the cache holds 40 kB") == 1
    assert said.index("--max-cache 1GB") < said.index("best after epoch")
    assert ", 40 kB of disk" in said
    files = list((tmp_path / "cache" / "tokens").glob("*.tokens.npy"))
    assert 0 < sum(file.stat().st_size for file in files) <= 40_000
    roomy = tune("--force", "--max-cache", "1GB")
    assert "cache holds" not in roomy.stderr
    assert len(list((tmp_path / "cache" / "tokens").glob("*.tokens.npy"))) > len(files)


@pytest.mark.slow
def test_where_there_is_no_terminal_each_epoch_is_a_line(tune, tmp_path):
    done = tune("--epochs", 2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("epoch ")]
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    scores = [entry["score"] for entry in log if "score" in entry]
    assert len(lines) == len(losses) == len(scores) == 2  # a step an epoch
    for epoch, (line, loss, score) in enumerate(zip(lines, losses, scores, strict=True), 1):
        said = f"epoch {epoch} of 2: loss {loss:.3f}, validation score {score:.3f}, "
        assert line.startswith(said)
        assert float(line.removeprefix(said).removesuffix(" s")) >= 0


@pytest.mark.slow
def test_on_a_terminal_the_bar_tells_the_epochs_and_no_line_breaks_it(tune, monkeypatch):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    said = tune().stderr
    assert "step/s" in said
    assert "epoch 1 of" not in said
