"""The loop: it learns, it can be stopped at any moment, and only what is listed changes."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tuning.discs import discs

from samphire.adapters import Adaptation
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.cache import Cache
from samphire.errors import CancelledError, DataError, NonFiniteError
from samphire.tuning import learner as learner_module
from samphire.tuning import loop
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.loop import ADAPTER, LAST, LOG, STATE, fit, learning_rate_share
from samphire.tuning.settings import TuneSettings
from samphire.weights.adapter_file import load_adapter

pytestmark = pytest.mark.slow

TRAIN, VAL = discs(4), discs(2, first=100)
QUICK = {"epochs": 2, "batch_size": 2, "corrections": 1, "augment": "none"}


def semantic(method=None, **changes):
    adaptation = Adaptation(method or Lora(blocks="last:1"), classes=("disc",))
    return TuneSettings(adaptation, **{"task": "semantic", **QUICK, **changes})


def interactive(method=None, **changes):
    return TuneSettings(Adaptation(method or Decoder()), **{**QUICK, **changes})


def entries(folder, key):
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [line for line in lines if key in line]


def untimed(folder):
    """The log without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize(
    ("settings", "epochs", "last"),
    [(semantic, 24, 0.8), (interactive, 40, 0.6)],
    ids=["semantic", "interactive"],
)
def test_pictures_are_learned(settings, epochs, last, tiny_engine, tmp_path):
    """By heart: a model of random weights has nothing to say of other pictures."""
    method = Partial(parts=("full",))
    chosen = settings(
        method, epochs=epochs, patience=epochs, learning_rate=1e-3, new_learning_rate=1e-3
    )
    known = tuple(replace(sample, group=f"again {sample.group}") for sample in TRAIN)
    best = fit(tiny_engine, TRAIN, known, chosen, tmp_path)
    scores = [entry["score"] for entry in entries(tmp_path, "score")]
    assert scores[0] < 0.3 < last < best.score == max(scores)
    assert load_adapter(tmp_path / ADAPTER).metrics["score"] == best.score
    assert load_adapter(tmp_path / LAST).metrics["score"] == scores[-1]


@pytest.mark.parametrize(
    "settings",
    [
        semantic(),
        semantic(Bottleneck()),
        semantic(Partial(), task="both"),
        interactive(),
        interactive(Lora(), augment="full"),
        semantic(precision="bfloat16"),
    ],
    ids=lambda settings: f"{settings.task}-{settings.adaptation.name}-{settings.precision}",
)
def test_two_runs_with_one_seed_are_the_same_to_the_byte(settings, tiny_engine, tmp_path):
    before = {name: v.clone() for name, v in tiny_engine.module.state_dict().items()}
    for name in ("a", "b"):
        fit(tiny_engine, TRAIN, VAL, settings, tmp_path / name)
    for name in (ADAPTER, LAST):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert untimed(tmp_path / "a") == untimed(tmp_path / "b")
    after = tiny_engine.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(stop, tiny_engine, tmp_path):
    settings = semantic(task="both", augment="flips")
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path / "whole")
    steps = iter(range(1, 100))
    with pytest.raises(CancelledError, match="it can go on"):
        fit(
            tiny_engine, TRAIN, VAL, settings, tmp_path / "cut",
            cancel=lambda: next(steps) == stop,
        )  # fmt: skip
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path / "cut")
    for name in (ADAPTER, LAST):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "cut")


SCRIPT = """
    import sys, torch
    from pathlib import Path
    sys.path[:0] = {paths}
    torch.set_num_threads(1)
    if {world}:
        torch.distributed.init_process_group("gloo")
    from tuning.test_loop import TRAIN, VAL, semantic
    from conftest import random_weights
    from samphire.engines.torch_engine import TorchEngine
    from samphire.model import variants
    from samphire.tuning import loop
    module = variants.tiny()
    random_weights(module)
    engine = TorchEngine(module, model="tiny", preprocessing="sam-64")
    loop.SAVE_SECONDS = 0.0
    settings = semantic(epochs={epochs}, batch_size={batch}, task="both")
    loop.fit(engine, TRAIN, VAL, settings, Path({folder!r}))
"""


def script(folder, *, world=False, epochs=3, batch=1):
    tests = Path(__file__).parent.parent
    text = SCRIPT.format(
        paths=[str(tests)], world=world, folder=str(folder), epochs=epochs, batch=batch
    )
    return [sys.executable, "-c", textwrap.dedent(text)]


def test_a_run_killed_at_any_moment_ends_as_a_whole_one(tmp_path):
    subprocess.run(script(tmp_path / "whole"), check=True)
    rng = np.random.default_rng(0)
    log = tmp_path / "cut" / LOG
    for _ in range(2):
        process = subprocess.Popen(script(tmp_path / "cut"))
        before = log.stat().st_size if log.exists() else 0
        while process.poll() is None and (not log.exists() or log.stat().st_size <= before):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    subprocess.run(script(tmp_path / "cut"), check=True)
    for name in (ADAPTER, LAST):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "cut")


def test_two_processes_answer_as_one(tmp_path):
    subprocess.run(script(tmp_path / "one", epochs=2, batch=2), check=True)
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29581", "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            script(tmp_path / "two", world=True, epochs=2, batch=2),
            env={**os.environ, **environment, "RANK": rank},
        )
        for rank in ("0", "1")
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    one, two = (load_adapter(tmp_path / name / LAST).tensors for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-5, rtol=0), name
    scores = [entries(tmp_path / name, "loss") for name in ("one", "two")]
    assert len(scores[0]) == len(scores[1]) == 4


def test_kept_tokens_change_nothing_and_save_the_encoder(tiny_engine, tmp_path):
    settings = semantic()
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path / "plain")
    cache = Cache(tmp_path / "tokens")
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path / "kept", cache=cache)
    files = list((tmp_path / "tokens").glob("*.tokens.npy"))
    assert len(files) == len(TRAIN) + len(VAL)
    for name in (ADAPTER, LAST):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "kept" / name).read_bytes()
    for file in files:  # damage is noticed, and what was damaged is computed again
        file.write_bytes(file.read_bytes()[:-7])
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path / "again", cache=cache)
    assert (tmp_path / "again" / LAST).read_bytes() == (tmp_path / "kept" / LAST).read_bytes()


def test_a_picture_without_objects_to_prompt_for_is_not_encoded(tiny_engine):
    def encoded(settings):
        adapted = settings.adaptation.apply(tiny_engine.module)
        frozen = FrozenEncoder(adapted, tiny_engine.info, cache=None)
        learner = learner_module.Learner(tiny_engine, adapted, frozen, settings)
        bare = replace(TRAIN[0], read=nothing_on_it)
        return len(list(learner.losses(bare, epoch=0))), frozen.encoded

    assert encoded(interactive()) == (0, 0)
    assert encoded(semantic(Decoder())) == (1, 1)


def nothing_on_it():
    labelled = TRAIN[0].read()
    return replace(labelled, objects=labelled.objects[[]])


def test_the_window_of_the_data_is_kept_and_part_of_what_the_run_is(tiny_engine, tmp_path):
    given = (tiny_engine, TRAIN[:2], VAL[:1], semantic(epochs=1), tmp_path)
    fit(*given, window="-160,240")
    for name in (ADAPTER, LAST):
        assert load_adapter(tmp_path / name).window == "-160,240"
    with pytest.raises(DataError, match="other settings or data"):
        fit(*given, window="0,80")


def test_the_learning_rate_follows_its_formula(tiny_engine, tmp_path):
    settings = semantic(warm_up=0.5)
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path)
    found = [entry["learning_rate_share"] for entry in entries(tmp_path, "loss")]
    assert found == [0.5, 1.0, 1.0, pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 2)) / 2)]
    assert learning_rate_share(99, 100, 0.05) < 0.02


def test_the_best_is_kept_by_its_validation_score_and_the_first_of_equals(
    tiny_engine, tmp_path, monkeypatch
):
    scores = iter([0.5, 0.7, 0.7, 0.6])
    real = loop.validate

    def scored(*given):
        return replace(real(*given), score=next(scores))

    monkeypatch.setattr(loop, "validate", scored)
    best = fit(tiny_engine, TRAIN[:2], VAL[:1], semantic(epochs=4, patience=9), tmp_path)
    assert (best.score, best.epoch) == (0.7, 2)
    assert load_adapter(tmp_path / ADAPTER).metrics["score"] == 0.7
    assert load_adapter(tmp_path / LAST).metrics["score"] == 0.6


def test_a_run_stops_early_when_it_gets_no_better(tiny_engine, tmp_path, monkeypatch):
    scores = iter([0.5, 0.7, 0.6, 0.6, 0.9])
    real = loop.validate
    monkeypatch.setattr(loop, "validate", lambda *given: replace(real(*given), score=next(scores)))
    best = fit(tiny_engine, TRAIN[:2], VAL[:1], semantic(epochs=9, patience=2), tmp_path)
    assert best.epoch == 2
    assert len(entries(tmp_path, "score")) == 4


def test_a_loss_that_is_no_number_stops_and_names_the_picture(tiny_engine, tmp_path, monkeypatch):
    real = learner_module.class_maps
    monkeypatch.setattr(learner_module, "class_maps", lambda *given: real(*given) * float("nan"))
    with pytest.raises(NonFiniteError, match="disc-"):
        fit(tiny_engine, TRAIN, VAL, semantic(), tmp_path)
    assert not (tmp_path / ADAPTER).exists()


def test_other_settings_or_data_do_not_go_on_in_its_folder(tiny_engine, tmp_path):
    fit(tiny_engine, TRAIN[:2], VAL[:1], semantic(epochs=1), tmp_path)
    with pytest.raises(DataError, match="other settings or data"):
        fit(tiny_engine, TRAIN[:2], VAL[:1], semantic(epochs=2), tmp_path)
    with pytest.raises(DataError, match="other settings or data"):
        fit(tiny_engine, TRAIN[:1], VAL[:1], semantic(epochs=1), tmp_path)
    (tmp_path / STATE).write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(ValueError, match="delete it to begin again"):
        fit(tiny_engine, TRAIN[:2], VAL[:1], semantic(epochs=1), tmp_path)


def test_sets_that_share_a_group_or_are_empty_are_refused(tiny_engine, tmp_path):
    with pytest.raises(DataError, match="group-1"):
        fit(tiny_engine, TRAIN, discs(1, first=1), semantic(), tmp_path)
    with pytest.raises(DataError, match="0 to validate on"):
        fit(tiny_engine, TRAIN, (), semantic(), tmp_path)
