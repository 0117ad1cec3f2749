"""The rehearsal: it costs two steps, tells something, and leaves no trace in the run."""

import subprocess
import sys
import textwrap
from itertools import chain, repeat
from pathlib import Path

import pytest
import torch
from tuning.test_loop import ADAPTER, TRAIN, VAL, interactive, semantic

from samphire.adapters.partial import Partial
from samphire.cli.tune_progress import costs
from samphire.tuning import estimate
from samphire.tuning.estimate import Estimate, rehearse
from samphire.tuning.loop import fit


@pytest.mark.slow
def test_a_rehearsed_run_is_the_run_that_was_not(tiny_engine, tmp_path):
    settings = semantic(task="both", augment="flips")
    before = {name: v.clone() for name, v in tiny_engine.module.state_dict().items()}
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path / "plain")
    found = rehearse(tiny_engine, TRAIN, VAL, settings)
    fit(tiny_engine, TRAIN, VAL, settings, tmp_path / "rehearsed")
    plain, rehearsed = ((tmp_path / run / ADAPTER) for run in ("plain", "rehearsed"))
    assert plain.read_bytes() == rehearsed.read_bytes()
    after = tiny_engine.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert found.seconds > 0
    assert found.kept_bytes > 0


@pytest.mark.slow
def test_nothing_is_kept_where_the_whole_encoder_trains(tiny_engine):
    found = rehearse(tiny_engine, TRAIN, VAL, interactive(Partial(parts=("full",))))
    assert found.kept_bytes == 0


def test_more_epochs_take_longer(tiny_engine):
    short, long = (rehearse(tiny_engine, TRAIN, VAL, semantic(epochs=n)).seconds for n in (1, 1000))
    assert long > 10 * short


def rehearsed(monkeypatch, engine, settings, measured, **given):
    """As if this had been measured, seconds and bytes: the step, twice, and the encoder."""
    told = chain(measured, repeat((0.0, 0)))
    monkeypatch.setattr(estimate, "_measured", lambda *_: next(told))
    return rehearse(engine, TRAIN, VAL, settings, **given)


def test_what_is_not_kept_is_computed_each_time_it_is_wanted(tiny_engine, monkeypatch):
    """Four pictures to learn from and two to validate on, each by a click and by a box."""
    settings = interactive(epochs=10)
    measured = [(0.0, 0), (3.0, 0), (3.0, 0)]  # a step that is the encoder's alone

    def seconds(max_kept):
        found = rehearsed(monkeypatch, tiny_engine, settings, measured, max_kept=max_kept)
        return found.seconds, found.kept_bytes

    all_of_it, kept = seconds(10**9)
    assert all_of_it == (4 + 2) * 3.0
    assert seconds(kept) == (all_of_it, kept)
    each_time = 10 * (4 + 2 * 2) * 3.0
    assert seconds(kept - 1) == (each_time, kept)
    assert seconds(None) == (each_time, 0)


def test_memory_is_that_of_the_step_that_was_seen_to_take_more(tiny_engine, monkeypatch):
    """The second finds the memory of the first, which the process has not given back."""
    measured = [(9.0, 700), (1.0, 20), (0.5, 0)]
    assert rehearsed(monkeypatch, tiny_engine, interactive(), measured).step_bytes == 700
    measured = [(9.0, 700), (1.0, 800), (0.5, 0)]
    assert rehearsed(monkeypatch, tiny_engine, interactive(), measured).step_bytes == 800


@pytest.mark.slow
@pytest.mark.parametrize("size", [50_000_000, 200_000_000])
def test_memory_that_some_work_takes_is_seen(size):
    script = f"""
        import time
        import numpy as np, torch
        from samphire.tuning import estimate
        def work():
            held = np.ones({size}, np.uint8)
            time.sleep(0.5)
            return held
        print(estimate._measured(work, torch.device("cpu"))[1])
    """  # a process that has done much has memory to spare, and takes none from the system
    assert 0.8 * size < printed(script) < 1.2 * size


SCRIPT = """
    import sys
    import psutil, torch
    sys.path[:0] = {paths}
    torch.set_num_threads(1)
    from conftest import random_weights
    from small_vit import small_vit
    from tuning.test_loop import TRAIN, VAL, interactive
    from samphire.adapters.partial import Decoder, Partial
    from samphire.engines.torch_engine import TorchEngine
    from samphire.tuning.estimate import rehearse
    from samphire.tuning.frozen import FrozenEncoder
    from samphire.tuning.learner import Learner
    module = small_vit({side})
    random_weights(module)
    engine = TorchEngine(module, model="vit_b", preprocessing="sam-{side}")
    settings = interactive({method}, corrections=0)
    if {batch}:
        adapted = settings.adaptation.apply(engine.module)
        learner = Learner(engine, adapted, FrozenEncoder(adapted, engine.info, None), settings)
        before = psutil.Process().memory_info().rss
        learner.step(TRAIN[:{batch}], epoch=0, rate=1.0)
        status = dict(line.split(":") for line in open("/proc/self/status"))
        print(int(status["VmHWM"].split()[0]) * 1024 - before)
    else:
        print(rehearse(engine, TRAIN, VAL, settings).step_bytes)
"""


def in_a_new_process(*, batch=0, side=512, method='Partial(parts=("full",))'):
    """Bytes: what the system says that a step takes, or without a batch what is estimated."""
    paths = [str(Path(__file__).parent.parent)]
    text = SCRIPT.format(paths=paths, batch=batch, side=side, method=method)
    return printed(text)


def printed(script):
    """The number that a process prints."""
    run = [sys.executable, "-c", textwrap.dedent(script)]
    return int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted elsewhere")
def test_a_step_takes_about_the_memory_that_is_estimated_and_a_batch_that_of_a_picture():
    found, truth = in_a_new_process(), in_a_new_process(batch=1)
    assert truth / 1.5 < found < truth * 1.5
    assert in_a_new_process(batch=4) < 2 * truth
    assert in_a_new_process(method="Decoder()") < 0.8 * found
    assert in_a_new_process(side=256) < 0.8 * found


def told(kept, max_cache, settings=None):
    return list(costs(Estimate(60.0, 10**6, kept), settings or interactive(), max_cache))


def test_a_cache_that_is_too_small_is_told_with_what_to_do():
    assert [line.count("25 GB of disk") for line in told(25 * 10**9, 25 * 10**9)] == [1]
    cost, warning = told(25 * 10**9, 10**10)
    assert "10 GB of disk" in cost
    assert "25 GB" in warning
    assert "--max-cache 26GB" in warning
    assert "augment" not in warning  # nothing is turned already
    assert "augment" in told(25 * 10**9, 10**10, interactive(augment="flips"))[1]
    assert [line.count("disk") for line in told(0, None)] == [0]
