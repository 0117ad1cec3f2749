"""``samphire tune``: from a folder to an adapter that can be used, with tiny weights."""

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tuning.discs import read

import samphire
from samphire.adapters import METHODS
from samphire.adapters.lora import Lora
from samphire.cli.__main__ import cli
from samphire.cli.tune_data import data_and_settings
from samphire.samples.find import open_data
from samphire.samples.split import make_splits
from samphire.samples.split_file import load_splits, save_splits
from samphire.tuning.settings import make_settings, of_toml
from samphire.weights.adapter_file import load_adapter


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Eight pictures with a disc and a square each, in folders images and masks."""
    for index in range(8):
        labelled = read(index, 2)
        label_map = np.zeros(labelled.image.shape[:2], np.uint8)
        for label, mask in enumerate(labelled.objects.to_array(), start=1):
            label_map[mask] = label
        for name, pixels in (("images", labelled.image[:, :, ::-1]), ("masks", label_map)):
            path = tmp_path / "data" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)
    return tmp_path / "data"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "quick.toml"
    path.write_text('batch_size = 2\ncorrections = 1\naugment = "none"\n', encoding="utf-8")
    return str(path)


def tune(*arguments):
    return CliRunner().invoke(cli, ["tune", *map(str, arguments)])


@pytest.mark.slow
def test_a_folder_becomes_an_adapter_that_classifies(folder, config, tiny_weights, tmp_path):
    run = tmp_path / "run"
    done = tune(
        folder, "--task", "both", "--classes", "disc, square", "--method", "lora",
        "--blocks", "last:1", "--rank", 2, "--epochs", 2, "--config", config,
        "--model", tiny_weights, "--output", run, "--json", "--tensorboard",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert [each["protocol"] for each in results["protocols"]] == ["points", "box", "semantic"]
    assert results["split"] == "test"
    said = done.stderr
    assert "6 samples to train on, 1 to validate on, 1 held out" in said
    assert "estimated, for all 2 epochs" in said
    assert said.index("trains: image encoder, block 5 of 5") < said.index("estimated")
    assert {path.name for path in run.iterdir()} >= {
        "adapter.safetensors", "last.safetensors", "splits.json", "config.toml", "results.json",
        "environment.json", "log.jsonl", "state.pt", "report.html", "cases-points.csv",
    }  # fmt: skip
    assert list(run.glob("events.out.tfevents*"))
    adapter = load_adapter(run / "adapter.safetensors")
    assert adapter.adaptation.classes == ("disc", "square")
    assert adapter.data["train"] == 6
    assert adapter.metrics["held_out"] == results
    engine = samphire.load(tiny_weights, adapter=run / "adapter.safetensors", device="cpu")
    masks = samphire.classify(engine, folder / "images" / "0.png")
    assert masks.name == ("disc", "square")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Tuning on data" in page
    assert page.count("data:image/jpeg") >= 3
    dropped = [each for each in results["protocols"][:2] if each["difference"] < 0]
    assert dropped
    assert page.count("the base did better.") == len(dropped)
    split = load_splits(run / "splits.json")
    assert len(split.ids("train")) == 6
    taught = [*split.ids("train"), *split.ids("val")]
    seen = {sha256((folder / known).read_bytes()).hexdigest()[:16] for known in taught}
    assert set(adapter.seen) == seen
    assert load_adapter(run / "last.safetensors").seen == adapter.seen


@pytest.mark.slow
def test_evaluate_warns_of_what_a_run_learned_from_and_not_of_what_it_left_out(
    folder, config, tiny_weights, tmp_path
):
    shape = cv2.imread(str(folder / "images" / "0.png")).shape[:2]
    cv2.imwrite(str(folder / "masks" / "0.png"), np.zeros(shape, np.uint8))
    dataset = open_data(folder)
    empty = next(sample.id for sample in dataset.samples if "0.png" in sample.id)
    drawn = (make_splits(dataset, seed=seed) for seed in range(20))
    save_splits(tmp_path / "splits.json", next(s for s in drawn if empty in s.ids("train")))
    done = tune(
        folder, "--epochs", 1, "--config", config, "--model", tiny_weights, "--output",
        tmp_path / "run", "--splits", tmp_path / "splits.json",
    )  # fmt: skip
    assert "left out, 1 without an object" in done.stderr, done.output
    given = ["evaluate", folder, "--protocol", "box", "--model", tiny_weights]
    given += ["--adapter", tmp_path / "run" / "adapter.safetensors"]
    measured = CliRunner().invoke(cli, [*map(str, given)])
    assert "warning: 6 of 8 samples taught this adapter" in measured.stderr, measured.output
    given += ["--splits", tmp_path / "run" / "splits.json", "--split", "test"]
    assert "warning" not in CliRunner().invoke(cli, [*map(str, given)]).stderr


@pytest.mark.slow
def test_the_same_command_goes_on_and_another_needs_force(folder, config, tiny_weights, tmp_path):
    given = [folder, "--epochs", 1, "--config", config, "--model", tiny_weights]
    given += ["--output", tmp_path / "run"]
    assert tune(*given).exit_code == 0
    adapter = (tmp_path / "run" / "last.safetensors").read_bytes()
    again = tune(*given)
    assert again.exit_code == 0, again.output
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == adapter
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    other = tune(*given, "--seed", 5)
    assert other.exit_code == 1
    assert "other settings or data" in str(other.exception)
    assert kept == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert tune(*given, "--seed", 5, "--force").exit_code == 0
    # what the data was is remembered: another picture is noticed
    path = folder / "images" / "0.png"
    path.write_bytes((folder / "images" / "1.png").read_bytes())
    changed = tune(*given, "--seed", 5)
    assert changed.exit_code == 1
    assert "0.png" in str(changed.exception)


@pytest.mark.slow
def test_a_killed_run_ends_in_the_same_adapter(folder, config, tiny_weights, tmp_path):
    def command(run):
        code = "import sys, torch; torch.set_num_threads(1); from samphire.tuning import loop; "
        code += "loop.SAVE_SECONDS = 0.0; from samphire.cli.__main__ import main; main()"
        given = ["tune", folder, "--epochs", 6, "--config", config, "--model", tiny_weights]
        return [sys.executable, "-c", code, *map(str, [*given, "--output", tmp_path / run])]

    subprocess.run(command("whole"), check=True, capture_output=True)
    log = tmp_path / "cut" / "log.jsonl"
    process = subprocess.Popen(command("cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and (not log.exists() or log.read_text().count("\n") < 5):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run(command("cut"), check=True, capture_output=True)
    whole, cut = (tmp_path / run / "last.safetensors" for run in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


# The first process is slow to prepare the folder: the other must not find what was there before.
SLOW = """
import sys, time, torch
torch.set_num_threads(1)
from samphire.cli import tune_run
from samphire.cli.__main__ import main
prepare = tune_run._prepare
tune_run._prepare = lambda *given: (time.sleep(1.0), prepare(*given))
main()
"""


@pytest.mark.slow
def test_torchrun_starts_two_that_write_one_run(folder, config, tiny_weights, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    given = ["tune", folder, "--epochs", 1, "--config", config, "--model", tiny_weights]
    given += ["--device", "cpu", "--output", tmp_path / "run", "--no-cache"]

    def torchrun(*more):
        done = subprocess.run(
            [
                sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
                str(tmp_path / "slow.py"), *map(str, [*given, *more]),
            ],
            capture_output=True, text=True, check=False, timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip() == str(tmp_path / "run" / "adapter.safetensors")
        assert done.stderr.count("held out") == done.stderr.count("epoch 1 of 1: ") == 1
        return (tmp_path / "run" / "last.safetensors").read_bytes()

    assert torchrun() == torchrun("--force")  # begun anew by both


def test_settings_come_from_the_file_and_options_go_over_them(tmp_path):
    path = tmp_path / "tune.toml"
    text = 'task = "semantic"\nclasses = ["a"]\nepochs = 9\n[method]\nname = "lora"\nrank = 4\n'
    path.write_text(text, encoding="utf-8")
    done = tune("--config", path, "--print-config", "--epochs", 3)
    settings = make_settings(of_toml(done.stdout))
    assert (settings.epochs, settings.adaptation.method.rank) == (3, 4)
    other = tune("--config", path, "--print-config", "--method", "decoder")
    assert make_settings(of_toml(other.stdout)).adaptation.name == "decoder"
    assert (
        tune("--config", path, "--print-config").stdout
        == tune("--config", path, "--print-config", "--epochs", 9).stdout
    )


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--method", "lora"], lambda s: s.adaptation.name == "lora"),
        (["--method", "adapter"], lambda s: s.adaptation.name == "adapter"),
        (["--method", "partial"], lambda s: s.adaptation.name == "partial"),
        (["--method", "decoder"], lambda s: s.adaptation.name == "decoder"),
        (["--method", "lora", "--rank", "3"], lambda s: s.adaptation.method.rank == 3),
        (
            ["--method", "lora", "--blocks", "last:2"],
            lambda s: s.adaptation.method.blocks == "last:2",
        ),
        (["--task", "semantic", "--classes", "a"], lambda s: not s.interactive),
        (["--task", "both", "--classes", "a, b"], lambda s: s.adaptation.classes == ("a", "b")),
        (["--task", "interactive"], lambda s: not s.semantic),
        (["--task", "interactive", "--classes", "a,b"], lambda s: not s.adaptation.classes),
        (["--epochs", "7"], lambda s: s.epochs == 7),
        (["--seed", "9"], lambda s: s.seed == 9),
        (["--seed", "0"], lambda s: s.seed == 0),
    ],
)
def test_every_option_of_the_settings_comes_back_from_the_printed_file(arguments, found, tmp_path):
    printed = tune("--print-config", *arguments)
    assert printed.exit_code == 0, printed.output
    settings = make_settings(of_toml(printed.stdout))
    assert found(settings)
    path = tmp_path / "again.toml"
    path.write_text(printed.stdout, encoding="utf-8")
    assert tune("--print-config", "--config", path).stdout == printed.stdout


def test_a_yes_or_no_is_an_option_without_a_value_or_a_boolean_of_the_file(tmp_path):
    """The text "False" must never be taken for a yes."""
    path = tmp_path / "tune.toml"
    for text, given in (("false", False), ("true", True)):
        path.write_text(
            f'task = "semantic"\nclasses = ["a"]\ndecoder = {text}\n[method]\nname = "lora"\n',
            encoding="utf-8",
        )
        printed = tune("--print-config", "--config", path)
        assert make_settings(of_toml(printed.stdout)).adaptation.decoder is given
    path.write_text('decoder = "False"\n', encoding="utf-8")
    assert "a yes or no" in tune("--print-config", "--config", path).output
    flags = [each for each in cli.commands["tune"].params if each.type.name == "boolean"]
    assert {each.name for each in flags} == {
        "print_config", "tensorboard", "no_cache", "force", "as_json", "offline"
    }  # fmt: skip
    assert all(each.is_flag for each in flags)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give DATA"),
        (["nowhere", "--output", "run"], "nowhere: no such file"),
        ([".", "--output", "run", "--splits", "none.json"], "none.json: no such file"),
        ([".", "--output", "run", "--model", "vit_x"], "vit_x"),
        (["--print-config", "--task", "semantic"], "need names of classes"),
        (["--print-config", "--task", "semantic", "--classes", "a,,b"], "different names"),
        (["nowhere", "--print-config"], "nowhere: no such file"),
        (["--print-config", "--rank", "4"], "no setting 'rank'"),
        (["--print-config", "--config", "none.toml"], "none.toml"),
        (["--print-config", "--method", "lora", "--blocks", "some"], "blocks"),
    ],
)
def test_wrong_usage_is_said_at_once(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = tune(*arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_data_without_named_classes_asks_for_them(folder, tiny_weights, tmp_path):
    done = tune(folder, "--task", "semantic", "--output", tmp_path / "run", "--model", tiny_weights)
    assert done.exit_code == 2
    assert "give --classes" in done.output
    assert not (tmp_path / "run").exists()


def test_the_methods_offered_are_those_of_the_table():
    """The command line has a list of its own, as it has to load without torch."""
    offered = next(each for each in cli.commands["tune"].params if each.name == "method")
    assert set(offered.type.choices) == set(METHODS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("method = 3", "method 3: expected a name, or a table"),
        ('classes = "polyp"', "expected a list of names"),
        *(
            (f"{name} = {value}", f"{name}={value}")
            for name in ("learning_rate", "new_learning_rate", "clip")
            for value in ("nan", "inf", "0.0", "-1.0")
        ),
        ("weight_decay = inf", "weight_decay inf"),
        ("weight_decay = nan", "weight_decay nan"),
        ("warm_up = nan", "warm_up nan"),
    ],
)
def test_a_file_with_settings_that_cannot_be_is_wrong_usage(text, says, tmp_path):
    path = tmp_path / "tune.toml"
    path.write_text(text, encoding="utf-8")
    done = tune("--print-config", "--config", path)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())


def test_a_text_is_the_methods_name(tmp_path):
    path = tmp_path / "tune.toml"
    path.write_text('method = "lora"\n', encoding="utf-8")
    printed = tune("--print-config", "--config", path, "--rank", 3)
    assert printed.exit_code == 0, printed.output
    assert make_settings(of_toml(printed.stdout)).adaptation.method == Lora(rank=3)
    assert make_settings({"method": "lora"}).adaptation.method == Lora()


@pytest.fixture
def coco(tmp_path):
    """One picture with one object, of the category thing."""
    cv2.imwrite(str(tmp_path / "a.png"), read(0, 1).image)
    height, width = read(0, 1).image.shape[:2]
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": width, "height": height}],
        "categories": [{"id": 4, "name": "thing"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 4, "iscrowd": 0, "area": 50,
             "bbox": [2, 2, 10, 10], "segmentation": [[2, 2, 12, 2, 12, 12]]},
        ],
    }  # fmt: skip
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_printed_settings_have_the_classes_that_the_data_names(coco):
    printed = tune(coco, "--task", "semantic", "--print-config")
    assert printed.exit_code == 0, printed.output
    assert make_settings(of_toml(printed.stdout)).adaptation.classes == ("thing",)


@pytest.mark.parametrize("task", ["semantic", "both", "interactive"])
def test_classes_are_refused_that_named_data_does_not_have(coco, task, tmp_path, tiny_weights):
    given = [coco, "--task", task, "--classes", "zebra", "--model", tiny_weights]
    for rest in (["--print-config"], ["--output", tmp_path / "run"]):
        done = tune(*given, *rest)
        assert done.exit_code == 2
        assert "has the classes thing" in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--classes", "left kidney,lung"], True),
        (["--classes", "lung,Kidney_RIGHT"], True),
        (["--classes", "lung-left,lung"], True),
        (["--classes", "cleft,bright"], False),
        (["--classes", "left_lung,lung", "--config", "quick.toml"], False),  # augment = "none"
        (["--classes", "left_lung,lung", "--task", "interactive"], False),
    ],
)
def test_mirrored_pictures_of_classes_that_name_a_side_are_told(arguments, said, folder, config):
    given = [config if each == "quick.toml" else each for each in arguments]
    task = [] if "--task" in given else ["--task", "semantic"]
    done = tune(folder, *given, *task, "--print-config")
    assert done.exit_code == 0, done.output
    assert ("name a side" in done.stderr) is said
    assert "name a side" not in done.stdout


def test_the_run_has_that_note_among_those_of_its_data(folder):
    given = {"task": "semantic", "classes": ["left lung", "right lung"]}
    dataset, _ = data_and_settings(folder, given, None)
    assert "Classes that name a side: left lung, right lung" in dataset.notes[-1]


@pytest.mark.slow
def test_maps_of_classes_teach_prompts_where_the_classes_have_names(
    folder, config, tiny_weights, tmp_path
):
    for path in (folder / "masks").iterdir():
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        values[0] = 255
        cv2.imwrite(str(path), values)
    given = [folder, "--epochs", 1, "--config", config, "--model", tiny_weights]
    refused = tune(*given, "--output", tmp_path / "nothing")
    assert refused.exit_code != 0
    assert "give --classes" in refused.stderr
    run = tmp_path / "run"
    done = tune(*given, "--classes", "left,square", "--output", run)
    assert done.exit_code == 0, done.output
    assert "6 samples to train on" in done.stderr
    assert load_adapter(run / "adapter.safetensors").adaptation.classes == ()
    # the settings that are kept read the data in the same way
    assert of_toml((run / "config.toml").read_text())["classes"] == ["left", "square"]
