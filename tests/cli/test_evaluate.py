"""``samphire evaluate``: the measures of Python, tables, files, splits, and what is refused."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from labelled_sets import picture

from samphire.adapters import Adaptation
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.partial import Decoder
from samphire.cli.__main__ import cli
from samphire.cli.seen_samples import fingerprints
from samphire.errors import DataError, FileFormatError, OutputExistsError
from samphire.evaluation.protocols import evaluate
from samphire.samples import open_data
from samphire.samples.split import make_splits
from samphire.samples.split_file import save_splits
from samphire.weights.adapter_file import AdapterFile, load_adapter

pytestmark = pytest.mark.slow

SPLIT = {"a": "train", "b": "test", "c": "test", "d": "val"}


def make_data(folder, split=SPLIT, values=(255,)):
    """Pictures with a disc each, in a table."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    lines = ["id,image,mask,split,group"]
    for seed, name in enumerate(SPLIT):
        image = picture(seed)
        mask = np.zeros((60, 80), np.uint8)
        cv2.circle(mask, (25 + 8 * seed, 30), 12 + seed, values[seed % len(values)], -1)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
        lines.append(f"{name},images/{name}.png,masks/{name}.png,{split.get(name, '')},g{name}")
    (folder / "split.csv").write_text("\n".join(lines))
    return folder


def save_adapter(path, engine, method, classes=()):
    adaptation = Adaptation(method, decoder=True, classes=classes)
    chance = torch.Generator().manual_seed(7)
    tensors = {
        name: value + 0.1 * torch.randn(value.shape, generator=chance)
        for name, value in adaptation.apply(engine.module).tensors().items()
    }
    info = engine.info
    AdapterFile(adaptation, info.model, info.base_id, info.preprocessing, tensors).save(path)
    return path


@pytest.fixture
def discs(tmp_path):
    return make_data(tmp_path / "discs")


@pytest.fixture
def invoke(tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))

    def run(*arguments):
        line = ["evaluate", "--model", str(tiny_weights), *map(str, arguments)]
        return CliRunner().invoke(cli, line, standalone_mode=False)

    return run


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_tells_what_python_measures_on_the_test_split(invoke, discs, tiny_engine):
    result = invoke(discs, "--protocol", "box", "--json")
    assert result.return_value == 0, result.exception
    record = json.loads(result.stdout)
    test = [sample for sample in open_data(discs).samples if sample.split == "test"]
    expected = evaluate(tiny_engine, test, "box")
    assert (record["split"], record["samples"], record["cases"]) == ("test", 2, 2)
    assert record["figures"]["dice"]["mean"] == pytest.approx(expected.mean_dice)
    assert record["tolerance"] == 2
    assert "base" not in record


def test_the_table_names_protocol_pixels_and_counts(invoke, discs):
    result = invoke(discs, "--protocol", "points", "--clicks", 3)
    assert result.return_value == 0, result.exception
    head, protocol, counts, *table = result.stdout.splitlines()
    assert head.startswith("discs, split test: 2 samples, by tiny (torch")
    assert protocol.startswith("points: a click in the middle of each object")
    assert counts.startswith("2 cases in 2 groups, original pixels, masks cut at logit 0")
    words = "\n".join(table)
    for expected in ("Dice after 1 click", "mIoU after 1 click", "mIoU after 3 clicks"):
        assert expected in words
    for absent in ("mIoU after 5 clicks", "clicks to an IoU"):
        assert absent not in words


def test_twenty_clicks_tell_how_many_a_good_mask_takes(invoke, discs):
    result = invoke(discs, "--protocol", "points", "--clicks", 20, "--json")
    figures = json.loads(result.stdout)["figures"]
    assert figures["noc_85"]["mean"] == 20  # random weights
    assert figures["noc_85_never"] == figures["noc_90_never"] == 2


def test_files_hold_each_case_and_the_summary(invoke, discs, tmp_path):
    out = tmp_path / "out"
    result = invoke(discs, "--protocol", "points", "--clicks", 2, "--output", out, "--json")
    assert result.return_value == 0, result.exception
    found = rows(out / "cases.csv")
    assert [(row["id"], row["group"], row["target"]) for row in found] == [
        ("b", "gb", "object 1"),
        ("c", "gc", "object 1"),
    ]
    assert list(found[0])[-2:] == ["iou_at_1", "iou_at_2"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads(result.stdout)
    mean = np.mean([float(row["dice"]) for row in found])
    assert summary["figures"]["dice"]["mean"] == pytest.approx(mean)
    before = (out / "summary.json").read_bytes(), (out / "cases.csv").read_bytes()
    refused = invoke(discs, "--protocol", "box", "--output", out)
    assert isinstance(refused.exception, OutputExistsError)
    again = ["--protocol", "points", "--clicks", 2, "--output", out, "--force", "--no-cache"]
    assert invoke(discs, *again).return_value == 0
    assert before == ((out / "summary.json").read_bytes(), (out / "cases.csv").read_bytes())


@pytest.mark.parametrize("method", [Decoder(), Bottleneck()], ids=["decoder", "encoder"])
def test_an_adapter_is_compared_with_its_base_case_by_case(
    invoke, discs, tiny_engine, tmp_path, method
):
    adapter = save_adapter(tmp_path / "a.safetensors", tiny_engine, method)
    out = tmp_path / "out"
    options = ("--protocol", "box", "--adapter", adapter, "--split", "all")
    result = invoke(discs, *options, "--output", out, "--json")
    assert result.return_value == 0, result.exception
    record = json.loads(result.stdout)
    before = [float(row["dice"]) for row in rows(out / "base-cases.csv")]
    after = [float(row["dice"]) for row in rows(out / "cases.csv")]
    alone = json.loads(invoke(discs, "--protocol", "box", "--split", "all", "--json").stdout)
    assert record["base"]["figures"] == alone["figures"]
    found = record["adapter_minus_base"]
    assert before != after
    assert found["difference"]["mean"] == pytest.approx(np.subtract(after, before).mean())
    assert found["n"] == 4
    assert found["worse"] == sum(b < a - 0.01 for a, b in zip(before, after, strict=True))
    assert found["better"] == sum(b > a + 0.01 for a, b in zip(before, after, strict=True))
    words = invoke(discs, *options).stdout.splitlines()
    assert words[3].split() == ["base", "adapter"]
    assert words[-1].startswith("adapter minus base, Dice: ")
    assert f"worse in {found['worse']}" in words[-1]


def remember(path, samples):
    """Let an adapter's file say that it has seen samples."""
    replace(load_adapter(path), seen=fingerprints(samples)).save(path)


@pytest.mark.parametrize("options", [(), ("--splits", "other.json")], ids=["all", "other seed"])
def test_samples_that_the_adapter_has_seen_are_counted_and_warned_of(
    invoke, tiny_engine, tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    data = make_data(tmp_path / "plain", split={})
    dataset = open_data(data)
    own, other = (make_splits(dataset, seed=seed, fractions=(0.25, 0.25, 0.5)) for seed in (0, 1))
    save_splits(Path("own.json"), own)
    save_splits(Path("other.json"), other)
    adapter = save_adapter(tmp_path / "a.safetensors", tiny_engine, Decoder())
    remember(adapter, [each for each in dataset.samples if each.id not in own.ids("test")])
    measured = set(other.ids("test")) if options else set(SPLIT)
    seen = len(measured - set(own.ids("test")))
    assert seen
    given = (data, "--protocol", "box", "--adapter", adapter, "--json", "--output")
    result = invoke(*given, "out", *options)
    assert result.return_value == 0, result.exception
    assert (
        f"warning: {seen} of {len(measured)} samples taught this adapter or chose its epoch"
        in result.stderr
    )
    assert json.loads(result.stdout)["samples_seen"] == seen
    assert json.loads(Path("out/summary.json").read_text())["samples_seen"] == seen
    # what the warning advises
    assert "--splits FILE --split test" in result.stderr
    honest = invoke(*given, "honest", "--splits", "own.json", "--split", "test")
    assert json.loads(honest.stdout)["samples_seen"] == 0
    assert "taught" not in honest.stderr


def test_a_seen_picture_is_known_by_its_bytes_wherever_it_lies(invoke, tiny_engine, tmp_path):
    data = make_data(tmp_path / "set", split={})
    adapter = save_adapter(tmp_path / "a.safetensors", tiny_engine, Decoder())
    remember(adapter, open_data(data).samples[:1])
    (data / "split.csv").unlink()
    for folder in ("images", "masks"):
        (data / folder / "a.png").rename(data / folder / "renamed.png")
    shutil.copyfile(data / "masks" / "b.png", data / "masks" / "renamed.png")  # labelled anew
    moved = data.rename(tmp_path / "moved")
    result = invoke(moved, "--protocol", "box", "--adapter", adapter, "--json")
    assert json.loads(result.stdout)["samples_seen"] == 1


def test_an_adapter_that_does_not_say_what_it_has_seen_is_told_of(
    invoke, discs, tiny_engine, tmp_path
):
    adapter = save_adapter(tmp_path / "a.safetensors", tiny_engine, Decoder())
    result = invoke(discs, "--protocol", "box", "--adapter", adapter, "--json")
    assert json.loads(result.stdout)["samples_seen"] is None
    assert "does not say which samples it was trained on" in result.stderr
    alone = invoke(discs, "--protocol", "box", "--json")
    assert "samples_seen" not in json.loads(alone.stdout)
    assert "trained on" not in alone.stderr


def test_classes_are_measured_by_an_adapter_that_knows_them(invoke, tiny_engine, tmp_path):
    data = make_data(tmp_path / "set", values=(1, 2))
    adapter = save_adapter(tmp_path / "a.safetensors", tiny_engine, Decoder(), ("left", "right"))
    options = ("--protocol", "semantic", "--adapter", adapter, "--split", "all")
    result = invoke(data, *options, "--json")
    assert result.return_value == 0, result.exception
    record = json.loads(result.stdout)
    assert record["cases"] == 8
    assert record["figures"]["true_empty"] == 4
    assert {"dice_left", "dice_right", "dice_of_objects"} <= record["figures"].keys()
    assert "base" not in record
    swapped = invoke(data, *options, "--classes", "right,left")
    assert swapped.exception.exit_code == 2
    assert "same order" in swapped.exception.message


def test_semantic_without_classes_is_wrong_usage_that_says_how(
    invoke, discs, tiny_engine, tmp_path
):
    adapter = save_adapter(tmp_path / "a.safetensors", tiny_engine, Decoder())
    for more in ((), ("--adapter", adapter)):
        result = invoke(discs, "--protocol", "semantic", *more)
        assert result.exception.exit_code == 2
        assert "samphire tune" in result.exception.message


def test_everything_is_measured_by_recall(invoke, discs, tmp_path):
    out = tmp_path / "out"
    result = invoke(discs, "--protocol", "everything", "--output", out, "--json")
    assert result.return_value == 0, result.exception
    record = json.loads(result.stdout)
    assert 0 <= record["figures"]["ar_1000"]["mean"] <= 1
    assert record["figures"]["objects"] == 2
    assert record["figures"]["pooled_ar_1000_large"] is None
    assert [row["id"] for row in rows(out / "cases.csv")] == ["b", "c"]
    assert "tolerance" not in record


def test_splits_come_from_a_file(invoke, tmp_path):
    data = make_data(tmp_path / "plain", split={})
    splits = make_splits(open_data(data), fractions=(0.5, 0.25, 0.25))
    file = tmp_path / "splits.json"
    save_splits(file, splits)
    record = json.loads(invoke(data, "--protocol", "box", "--json").stdout)
    assert (record["split"], record["samples"]) == ("all", 4)
    for part in ("test", "train"):
        options = [] if part == "test" else ["--split", part]
        out = tmp_path / part
        result = invoke(data, "--protocol", "box", "--splits", file, *options, "--output", out)
        assert result.return_value == 0, result.exception
        assert [row["id"] for row in rows(out / "cases.csv")] == list(splits.ids(part))
    cv2.imwrite(str(data / "images" / "a.png"), picture(9))
    changed = invoke(data, "--protocol", "box", "--splits", file)
    assert isinstance(changed.exception, FileFormatError)


def test_a_split_that_is_not_there_is_wrong_usage(invoke, tmp_path):
    data = make_data(tmp_path / "plain", split={})
    result = invoke(data, "--protocol", "box", "--split", "test")
    assert result.exception.exit_code == 2
    assert "no splits: give the file of --splits" in result.exception.message
    only = make_data(tmp_path / "only", split=dict.fromkeys(SPLIT, "train"))
    assert "the split test" in invoke(only, "--protocol", "box").exception.message


def test_what_cannot_be_read_is_told_and_exits_with_1(invoke, discs):
    (discs / "images" / "b.png").write_bytes(b"no picture")
    result = invoke(discs, "--protocol", "box")
    assert result.return_value == 1, result.exception
    assert result.stdout.splitlines()[-1].startswith("not measured: b: ")
    (discs / "images" / "c.png").write_bytes(b"no picture")
    assert isinstance(invoke(discs, "--protocol", "box").exception, DataError)


def test_wrong_options_are_refused_before_the_model_is_loaded(invoke, discs, tmp_path):
    (tmp_path / "file").touch()
    for options in (["--output", tmp_path / "file"], ["--classes", "a,a"], ["--classes", "a,"]):
        assert invoke(discs, "--protocol", "box", *options).exception.exit_code == 2
    result = invoke(discs, "--protocol", "box", "--model", "vit_x")
    assert result.exception.exit_code == 2


def test_real_volumes_are_measured_whole_and_in_millimetres(invoke, data, tmp_path):
    folder, out = data / "medical" / "hippocampus", tmp_path / "out"
    result = invoke(folder, "--protocol", "box", "--split", "val", "--output", out, "--json")
    assert result.return_value == 0, result.exception
    record = json.loads(result.stdout)
    with (folder / "split.csv").open(encoding="utf-8") as file:
        volumes = [row["id"] for row in csv.DictReader(file) if row["split"] == "val"]
    assert record["cases"] == 2 * len(volumes)  # anterior and posterior
    assert record["groups"] == len(volumes)
    assert "hd95_mm" in record["figures"]
    assert not record["without_objects"]
