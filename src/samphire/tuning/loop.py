"""Tuning, from the first step to the last: read it from top to bottom.

    for each epoch:  for each batch of pictures:  for each picture:
        frozen part of the encoder (kept) -> the rest -> prompts or classes -> loss -> gradient
    optimiser step;  after each epoch: measure on the validation set, keep the best

Nothing is hidden in a framework: devices, half precision and several processes are plain torch. A
picture is run alone, so a batch costs the memory of one. Test data has no way in here.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samphire.cache import Cache
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import AdapterError, CancelledError, DataError
from samphire.evaluation.prompts import generator
from samphire.samples import Sample
from samphire.tuning import processes
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.learner import Learner
from samphire.tuning.log import Log
from samphire.tuning.settings import TuneSettings
from samphire.tuning.state import RunState, load_state
from samphire.tuning.validation import Validation, adapter_file, validate
from samphire.weights.adapter_file import AdapterFile

logger = logging.getLogger(__name__)

STATE, LOG, ADAPTER, LAST = "state.pt", "log.jsonl", "adapter.safetensors", "last.safetensors"
# A killed run repeats at most so much; a save takes some hundredths of a second.
SAVE_SECONDS = 30.0


@dataclass(frozen=True)
class Progress:
    """What a run says of itself, after each step.

    Attributes:
        epoch: that is under way, from 0.
        step: optimiser steps done, of ``steps``.
        steps: at most.
        loss: of the step, the mean over its pictures.
        score: the newest of the validation; NaN before the first.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    score: float


def fit(  # noqa: PLR0913 - what there is, what is wanted, whom to tell
    engine: TorchEngine,
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TuneSettings,
    folder: Path,
    *,
    window: str = "",
    seen: Sequence[str] = (),
    cache: Cache | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_entry: Callable[[dict[str, Any]], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Validation:
    """Tune an adapter; the best and the last are written to ``folder``, as is all that was logged.

    A run that was stopped at any moment is called again in the same way and goes on: its result is
    that of a run that was not. Selection is by the validation score alone; of equal scores the
    first counts.

    Args:
        engine: the base, without an adapter; it stays as it is.
        train: at least one sample.
        val: at least one sample, of groups that are not in ``train``.
        settings: see there.
        folder: of this run.
        window: of the data, ``DataSet.window``; the adapter's file keeps it.
        seen: fingerprints of the pictures in ``train`` and ``val``, for the adapter's file.
        cache: where the frozen part's results are kept.
        on_progress: called after each step.
        on_entry: called with each entry of the log.
        cancel: asked after each step; the state is saved before the run stops.

    Returns:
        What the best adapter scored on ``val``.

    Raises:
        DataError: a set is empty, groups are in both, or ``folder`` holds another run.
        AdapterError: ``engine`` wears an adapter already.
        NonFiniteError: a loss or a gradient is NaN or infinite; the picture or pictures are named,
            and nothing was learned from them.
        CancelledError: ``cancel`` said so.
    """
    check_sets(train, val)
    if engine.info.adapter:
        raise AdapterError(
            f"{engine.info}: an adapter is trained on a model without one, whose identity its file "
            "holds; merge the other into its base first (samphire merge), or load the base alone"
        )
    adapted = settings.adaptation.apply(engine.module, seed=settings.seed)
    learner = Learner(engine, adapted, FrozenEncoder(adapted, engine.info, cache), settings)
    state = _begin(folder, run_id(engine, train, val, settings, window), learner)
    log = Log(folder / LOG, state, on_entry)
    batches = math.ceil(len(train) / settings.batch_size)
    steps = batches * settings.epochs
    score, saved = float("nan"), time.monotonic()
    while state.epoch < settings.epochs and not _is_stale(state, settings):
        order = epoch_order(len(train), settings.seed, state.epoch)
        while state.batch < batches:
            started = time.perf_counter()
            rate = learning_rate_share(state.step, steps, settings.warm_up)
            first = state.batch * settings.batch_size
            batch = [train[index] for index in order[first : first + settings.batch_size]]
            loss, norm = learner.step(batch, epoch=state.epoch, rate=rate)
            state.step, state.batch = state.step + 1, state.batch + 1
            entry = {"step": state.step, "epoch": state.epoch + 1, "loss": loss}
            entry |= {"learning_rate_share": rate, "gradient_norm": norm}
            log.write({**entry, "seconds": round(time.perf_counter() - started, 3)})
            if on_progress is not None:
                on_progress(Progress(state.epoch, state.step, steps, loss, score))
            stopping = cancel is not None and cancel()
            if stopping or time.monotonic() - saved > SAVE_SECONDS:
                learner.save(folder / STATE, state)
                saved = time.monotonic()
            if stopping:
                raise CancelledError(f"stopped after step {state.step} of {steps}; it can go on")
        state.epoch, state.batch = state.epoch + 1, 0
        measured = validate(engine, adapted, learner.frozen, val, settings)
        score = processes.from_first(measured.score)
        file = adapter_file(engine, adapted, settings, measured, window=window, seen=seen)
        if not state.best_epoch or score > state.best_score:
            state.best_epoch, state.best_score = state.epoch, score
            _write(file, folder / ADAPTER)
        _write(file, folder / LAST)
        log.write({"epoch": state.epoch, "step": state.step, **measured.as_json()})
        learner.save(folder / STATE, state)
        saved = time.monotonic()
    return Validation(score=state.best_score, parts={}, epoch=state.best_epoch)


def learning_rate_share(step: int, steps: int, warm_up: float) -> float:
    """The share of the highest learning rate at a step: a linear rise, then a cosine to 1 %.

    >>> [round(learning_rate_share(step, 10, 0.2), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.505, 0.048]
    """
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def epoch_order(count: int, seed: int, epoch: int) -> list[int]:
    """The order of the samples in an epoch."""
    order: list[int] = generator(seed, epoch, "order").permutation(count).tolist()
    return order


def _begin(folder: Path, run: str, learner: Learner) -> RunState:
    """The state of a run that was stopped, with everything put back; or that of a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    state = check_folder(folder, run)
    if state is None:
        return RunState(run)
    logger.info("going on after step %d", state.step)
    learner.restore(state)
    return state


def check_folder(folder: Path, run: str) -> RunState | None:
    """The state of this run in its folder; None where no run has begun there.

    Args:
        folder: of the run.
        run: its identity, from :func:`run_id`.

    Raises:
        DataError: the folder holds another run.
        FileFormatError: the state is damaged.
    """
    state = load_state(folder / STATE)
    if state is not None and state.run != run:
        raise DataError(
            f"{folder} holds a run with other settings or data: choose another folder, or begin "
            "again there (--force)"
        )
    return state


def run_id(
    engine: TorchEngine,
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TuneSettings,
    window: str,
) -> str:
    """Identity of a run: weights, settings, and which samples are where, in which window."""
    names = [[sample.id for sample in samples] for samples in (train, val)]
    info = engine.info
    parts = (info.base_id, info.preprocessing, repr(settings), json.dumps(names), window)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _write(file: AdapterFile, path: Path) -> None:
    if processes.is_first():
        file.save(path)


def _is_stale(state: RunState, settings: TuneSettings) -> bool:
    return bool(state.best_epoch) and state.epoch - state.best_epoch >= settings.patience


def check_sets(train: Sequence[Sample], val: Sequence[Sample]) -> None:
    """Refuse sets that are empty or share a group.

    Raises:
        DataError: they are.
    """
    if not train or not val:
        raise DataError(
            f"{len(train)} samples to train on and {len(val)} to validate on: expected some of "
            "each (samphire data check says what is in the data)"
        )
    shared = {sample.group for sample in train} & {sample.group for sample in val}
    if shared:
        raise DataError(
            f"{len(shared)} groups are in training and in validation, for example "
            f"{sorted(shared)[0]}: a score would tell what was learned by heart"
        )
