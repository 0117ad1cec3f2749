"""The page that tunes a model runs as it is written, on ten real pictures, with the real model."""

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import samphire
from samphire.adapters.lora import Lora
from samphire.cli.__main__ import cli
from samphire.samples.split_file import load_splits
from samphire.tuning.settings import make_settings, of_toml

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tutorial" / "tune.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'^```(\w+)(?: title="([^"\n]*)")?\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
PICTURES = 10


@pytest.fixture
def folder(data, tmp_path, monkeypatch) -> Path:
    """A folder with ``polyps/``, as the page describes it."""
    source = data / "medical" / "polyps"
    found = sorted((source / "images").iterdir())[:PICTURES]
    assert len(found) == PICTURES
    for part in ("images", "masks"):
        (tmp_path / "polyps" / part).mkdir(parents=True)
    for number, image in enumerate(found, 1):
        shutil.copy(image, tmp_path / "polyps" / "images" / f"{number:03}{image.suffix}")
        mask = source / "masks" / f"{image.stem}.png"
        shutil.copy(mask, tmp_path / "polyps" / "masks" / f"{number:03}.png")
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)  # two that wait for each other are slow on a busy machine
    return tmp_path


def follow(blocks) -> dict:
    """Do what the blocks say, in their order; the names that their Python leaves behind."""
    names: dict = {}
    for language, title, body in blocks:
        if title.endswith(".toml"):
            Path(title).write_text(body, encoding="utf-8")
        elif language == "sh":
            for line in body.splitlines():
                program, *words = shlex.split(line)
                assert program == "samphire"
                done = CliRunner().invoke(cli, words)
                assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
        elif language == "python":
            exec(compile(body, "tune.md", "exec"), names)  # noqa: S102 - our own page
    return names


def files_of_a_run() -> set[str]:
    """Those that the page of reference lists."""
    page = (DOCS / "reference" / "tuning.md").read_text(encoding="utf-8")
    section = page.partition("## Files of a run")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


@pytest.mark.weights
@pytest.mark.usefixtures("vit_t", "own_cache")
def test_the_page_leads_from_a_folder_of_masks_to_a_measured_model(folder):
    names = follow(BLOCKS)
    run = folder / "runs" / "polyp"
    assert {
        path.name.replace("semantic", "*").replace("points", "*") for path in run.iterdir()
    } == (files_of_a_run() - {"events.out.tfevents.*"})
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert sum(losses[-3:]) < sum(losses[:3])
    assert max(entry["score"] for entry in log if "score" in entry) > 0.2
    results = json.loads((run / "results.json").read_text())
    assert [entry["protocol"] for entry in results["protocols"]] == ["semantic", "points"]
    # in Python: one class, and the base beside it
    assert names["masks"].name == ("polyp",)
    (straight,) = samphire.segment(names["base"], names["image"], points=[(176, 176)])
    assert straight.area == names["before"].area
    # on a folder, and measured again on what was held out, with the same result
    assert len(list((folder / "found").glob("*.png"))) == 2 * PICTURES
    with (folder / "measured" / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["id"] for row in rows) == sorted(load_splits(run / "splits.json").ids("test"))
    dice = [float(row["dice"]) for row in rows]
    assert sum(dice) / len(dice) == pytest.approx(results["protocols"][0]["dice_after"])


def test_the_file_of_settings_on_the_page_is_one_and_is_small():
    ((_, _, body),) = (block for block in BLOCKS if block[1].endswith(".toml"))
    settings = make_settings(of_toml(body))
    assert settings.epochs < make_settings({}).epochs
    assert "small for the tutorial" in body


def test_the_how_to_gives_the_wide_lora_that_classes_were_measured_with():
    page = (DOCS / "how-to" / "tune.md").read_text(encoding="utf-8")
    (body,) = re.findall(r'^```text title="wide.toml"\n(.*?)^```', page, re.M | re.S)
    assert make_settings(of_toml(body)).adaptation.method == Lora(
        rank=16, alpha=16.0, targets=("q", "v", "proj", "mlp"), blocks="last:4"
    )


def test_the_page_has_the_steps_that_it_promises():
    lines = [line for language, _, body in BLOCKS if language == "sh" for line in body.splitlines()]
    verbs = [line.split()[1] for line in lines]
    assert verbs == ["data", "tune", "predict", "evaluate"]
    python = "".join(body for language, _, body in BLOCKS if language == "python")
    assert all(f"samphire.{verb}(" in python for verb in ("adapt", "classify", "segment"))
