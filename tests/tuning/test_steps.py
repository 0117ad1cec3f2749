"""One step: what it may depend on, what it changes, and what it refuses to learn from."""

import logging
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from random_adapters import adapter_of
from tuning.discs import discs, read
from tuning.test_loop import TRAIN, VAL, entries, interactive, semantic

from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.errors import AdapterError, NonFiniteError
from samphire.samples import Labelled, Sample
from samphire.tuning import learner as learner_module
from samphire.tuning import loop
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.loop import ADAPTER, LOG, STATE, epoch_order, fit
from samphire.tuning.settings import TuneSettings

pytestmark = pytest.mark.slow


def learner_of(engine, settings: TuneSettings) -> learner_module.Learner:
    adapted = settings.adaptation.apply(engine.module, seed=settings.seed)
    return learner_module.Learner(
        engine, adapted, FrozenEncoder(adapted, engine.info, None), settings
    )


def without_objects() -> Sample:
    labelled = read(1, 1)
    bare = Labelled(labelled.image, labelled.objects[[]])
    return Sample("bare", "bare", (), partial(lambda value: value, bare))


def gradients(learner: learner_module.Learner, batch) -> dict[str, torch.Tensor]:
    """Those of a batch, before any step."""
    for sample in batch:
        for part in learner.losses(sample, 0):
            (part / len(batch)).backward()
    found = {
        name: value.grad.clone()
        for name, value in learner.adapted.parameters().items()
        if value.grad is not None
    }
    learner.optimiser.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize(
    "settings",
    [semantic(task="both"), interactive(Lora(), augment="full"), semantic(Partial())],
    ids=["decoder and classes", "LoRA", "partial"],
)
def test_what_a_picture_teaches_does_not_depend_on_its_neighbours(settings, tiny_engine):
    learner = learner_of(tiny_engine, settings)
    alone = [gradients(learner, [sample]) for sample in TRAIN[:3]]
    together = gradients(learner, TRAIN[:3])
    turned = gradients(learner, TRAIN[2::-1])
    for name, value in together.items():
        mean = sum(each[name] for each in alone) / 3
        assert torch.allclose(value, mean, atol=1e-6, rtol=1e-4), name
        assert torch.allclose(value, turned[name], atol=1e-6, rtol=1e-4), name


def test_the_loss_of_a_step_is_the_mean_of_its_pictures(tiny_engine):
    settings = semantic(task="both", learning_rate=1e-30, new_learning_rate=1e-30)
    learner = learner_of(tiny_engine, settings)
    alone = [learner.step([sample], epoch=0, rate=0.0)[0] for sample in TRAIN[:3]]
    together, _ = learner.step(TRAIN[:3], epoch=0, rate=0.0)
    assert together == pytest.approx(sum(alone) / 3, rel=1e-5)


def test_the_last_batch_may_be_one_picture_and_each_is_seen_once_an_epoch(tiny_engine, tmp_path):
    seen = []
    watched = tuple(
        replace(sample, read=lambda sample=sample: seen.append(sample.id) or sample.read())
        for sample in TRAIN[:3]
    )
    fit(tiny_engine, watched, VAL[:1], semantic(epochs=2), tmp_path)
    assert len(entries(tmp_path, "loss")) == 4
    names = sorted(sample.id for sample in watched)
    assert [sorted(seen[:3]), sorted(seen[3:])] == [names, names]
    assert seen[:3] == [watched[place].id for place in epoch_order(3, 0, 0)]


def test_batches_larger_than_the_data_are_the_data(tiny_engine, tmp_path):
    fit(tiny_engine, TRAIN[:1], VAL[:1], semantic(epochs=1, batch_size=9), tmp_path)
    assert [entry["step"] for entry in entries(tmp_path, "loss")] == [1]


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_pictures_without_objects_change_nothing_where_only_prompts_are_learned(
    precision, tiny_engine
):
    learner = learner_of(tiny_engine, interactive(precision=precision))
    before = learner.adapted.tensors()
    assert learner.step([without_objects()], epoch=0, rate=1.0) == (0.0, 0.0)
    assert all(torch.equal(value, before[k]) for k, value in learner.adapted.tensors().items())
    assert learner.step(TRAIN[:1], epoch=0, rate=1.0)[0] > 0  # and the next is learned from


def test_pictures_without_objects_teach_classes_where_they_are_not(tiny_engine):
    learner = learner_of(tiny_engine, semantic())
    loss, norm = learner.step([without_objects()], epoch=0, rate=1.0)
    assert loss > 0
    assert norm > 0


def infinite_gradient(value: torch.Tensor) -> torch.Tensor:
    """A loss that is finite and whose gradient is not."""
    value.register_hook(lambda gradient: gradient * float("inf"))
    return value


def test_a_gradient_that_is_no_number_stops_before_anything_is_learned(
    tiny_engine, tmp_path, monkeypatch
):
    real = learner_module.class_maps
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    steps = iter(range(99))

    def second_is_infinite(*given):
        found = real(*given)
        return infinite_gradient(found) if next(steps) == 1 else found

    monkeypatch.setattr(learner_module, "class_maps", second_is_infinite)
    with pytest.raises(NonFiniteError, match=r"gradient of disc-\d has norm (inf|nan) in epoch 1"):
        fit(tiny_engine, TRAIN, VAL, semantic(batch_size=1), tmp_path)
    assert len(entries(tmp_path, "loss")) == 1
    kept = loop.load_state(tmp_path / STATE)
    assert kept.step == 1
    assert all(torch.isfinite(value).all() for value in kept.tensors.values())
    assert not (tmp_path / ADAPTER).exists()


def test_a_step_that_float16_cannot_take_is_told_and_not_for_ever(tiny_engine, monkeypatch, caplog):
    learner = learner_of(tiny_engine, semantic(precision="float16"))
    before = learner.adapted.tensors()
    real = learner_module.class_maps
    monkeypatch.setattr(
        learner_module, "class_maps", lambda *given: infinite_gradient(real(*given))
    )
    with caplog.at_level(logging.WARNING):
        loss, norm = learner.step(TRAIN[:1], epoch=0, rate=1.0)
    assert math.isfinite(loss)
    assert not math.isfinite(norm)
    assert "disc-0" in caplog.text
    assert all(torch.equal(value, before[k]) for k, value in learner.adapted.tensors().items())
    while learner.scaler.get_scale() >= 1:
        learner.step(TRAIN[:1], epoch=0, rate=1.0)
    with pytest.raises(NonFiniteError, match="tune in float32"):
        learner.step(TRAIN[:1], epoch=0, rate=1.0)


def test_the_norm_of_the_gradient_is_logged_as_it_was_before_it_was_clipped(tiny_engine, tmp_path):
    fit(tiny_engine, TRAIN, VAL[:1], semantic(epochs=1, clip=1e-3), tmp_path)
    norms = [entry["gradient_norm"] for entry in entries(tmp_path, "loss")]
    assert len(norms) == 2
    assert min(norms) > 1e-2


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_no_step_is_taken_with_a_larger_gradient_than_the_settings_allow(precision, tiny_engine):
    taken = {}
    for clip in (1e-3, 1e6):
        learner = learner_of(tiny_engine, semantic(clip=clip, precision=precision))

        def look(*_, clip=clip, learner=learner):
            found = [each.grad.flatten() for each in learner.parameters if each.grad is not None]
            taken[clip] = float(torch.cat(found).norm())

        learner.optimiser.register_step_pre_hook(look)
        _, norm = learner.step(TRAIN[:1], epoch=0, rate=1.0)
        assert norm > 1e-2
    assert taken[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert taken[1e6] == pytest.approx(norm, rel=1e-3)


def test_progress_is_told_after_each_step_with_its_loss_and_the_newest_score(tiny_engine, tmp_path):
    told = []
    fit(tiny_engine, TRAIN, VAL[:1], semantic(epochs=2), tmp_path, on_progress=told.append)
    assert [now.loss for now in told] == [entry["loss"] for entry in entries(tmp_path, "loss")]
    assert [(now.epoch, now.step, now.steps) for now in told] == [
        (0, 1, 4), (0, 2, 4), (1, 3, 4), (1, 4, 4)
    ]  # fmt: skip
    assert [math.isnan(now.score) for now in told] == [True, True, False, False]
    assert told[2].score == told[3].score == entries(tmp_path, "score")[0]["score"]


def test_a_model_that_wears_an_adapter_is_no_base(tiny_engine, tmp_path):
    worn = tiny_engine.wearing(adapter_of(tiny_engine, Decoder()))
    with pytest.raises(AdapterError, match="merge the other"):
        fit(worn, TRAIN, VAL, semantic(), tmp_path)
    assert not (tmp_path / LOG).exists()


def test_learning_rates_are_those_of_the_settings_times_the_share(tiny_engine):
    learner = learner_of(tiny_engine, semantic(learning_rate=2e-4, new_learning_rate=6e-4))
    learner.step(TRAIN[:1], epoch=0, rate=0.5)
    rates = {
        id(value): group["lr"]
        for group in learner.optimiser.param_groups
        for value in group["params"]
    }
    own = {name for name, _ in learner.adapted.base.named_parameters()}
    parameters = learner.adapted.parameters()
    assert {name in own for name in parameters} == {True, False}
    for name, value in parameters.items():
        assert rates[id(value)] == pytest.approx(1e-4 if name in own else 3e-4)


def test_batch_norms_and_buffers_do_not_drift_while_training(tiny_engine, tmp_path):
    """Even where every weight of the encoder trains."""
    settings = semantic(Partial(parts=("full",)))
    learner = learner_of(tiny_engine, settings)
    before = {name: value.clone() for name, value in learner.adapted.module.named_buffers()}
    assert any(name.endswith("running_mean") for name in before)
    for epoch in range(3):
        learner.step(TRAIN, epoch=epoch, rate=1.0)
    after = dict(learner.adapted.module.named_buffers())
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(module.training for module in learner.adapted.module.modules())


def test_chance_is_that_of_the_sample_and_not_of_torch_or_numpy(tiny_engine):
    """Other random numbers drawn in between change nothing."""
    settings = interactive(augment="full")
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the state that nothing of ours may use
        losses.append(learner_of(tiny_engine, settings).step(discs(1), epoch=3, rate=1.0))
    assert losses[0] == losses[1]
