"""The rehearsal: it costs two steps, tells something, and leaves no trace in the run."""

import pytest
import torch
from tuning.test_loop import ADAPTER, TRAIN, VAL, interactive, semantic

from samphire.adapters.partial import Partial
from samphire.tuning.estimate import rehearse
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
