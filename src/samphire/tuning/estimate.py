"""What a run will cost, measured by a rehearsal: a step on real data whose gradient is thrown away.

Formulas know neither the machine nor what else it is doing. Nothing that is rehearsed changes the
run: its model is another one, and all chance is keyed by sample and epoch.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
import torch

from samphire.cache import DEFAULT_MAX_BYTES
from samphire.engines.torch_engine import TorchEngine
from samphire.samples import Sample
from samphire.tuning.augment import FLIPS
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.learner import Learner
from samphire.tuning.settings import TuneSettings
from samphire.tuning.validation import protocols

POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to cost, at most: it may stop early.

    Attributes:
        seconds: of all epochs, validation included.
        step_bytes: memory that a step takes beyond the model and what is kept between steps.
        kept_bytes: disk that the frozen part's results would take, if there were no bound; 0 where
            nothing is kept.
    """

    seconds: float
    step_bytes: int
    kept_bytes: int


def rehearse(
    engine: TorchEngine,
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TuneSettings,
    *,
    max_kept: int | None = DEFAULT_MAX_BYTES,
) -> Estimate:
    """Measure one picture of the training set, twice: the first time everything is slower.

    Args:
        engine: the base.
        train: as for the run.
        val: as for the run.
        settings: as for the run.
        max_kept: the most bytes that the frozen part's results may take; None: none is kept.
    """
    adapted = settings.adaptation.apply(engine.module)
    frozen = FrozenEncoder(adapted, engine.info, cache=None)
    learner = Learner(engine, adapted, frozen, settings)
    sample = train[len(train) // 2]

    def learn() -> None:
        for loss in learner.losses(sample, epoch=0):
            loss.backward()

    # the second time much of the memory is still the process's own, so that little is seen to grow
    _, memory = _measured(learn, engine.device)
    step, again = _measured(learn, engine.device)
    image = sample.read().image
    encode, _ = _measured(lambda: frozen.tokens(image), engine.device)
    tokens, _ = frozen.tokens(image)
    validations = len(protocols(engine, settings))
    # a validation prompt costs about what a step's forward pass does, and that a third of the step
    asked = settings.epochs * (len(train) + len(val) * validations / 3)
    used = settings.epochs * (len(train) + len(val) * validations)
    views = {"none": 1, "flips": len(FLIPS), "full": settings.epochs}[settings.augment]
    different = min(settings.epochs, views) * len(train) + len(val)
    keeps = frozen.cut != "pixels" and max_kept is not None
    kept_bytes = different * tokens.nbytes if keeps else 0
    # what does not fit is seldom there when it is wanted again: the order of an epoch is another
    fits = keeps and max_kept is not None and kept_bytes <= max_kept
    if frozen.cut == "pixels":  # the whole encoder learns, so it is part of the step
        seconds = asked * step
    else:
        seconds = asked * max(step - encode, 0.0) + (different if fits else used) * encode
    return Estimate(seconds=seconds, step_bytes=max(memory, again), kept_bytes=kept_bytes)


def _measured(work: Callable[[], object], device: torch.device) -> tuple[float, int]:
    """Seconds, and bytes at the peak above what was there before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        started = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
        return seconds, torch.cuda.max_memory_allocated(device) - before
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(POLL_SECONDS):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    return seconds, peak - before
