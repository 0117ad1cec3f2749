"""What ``samphire tune`` says while it works, on stderr: what a run will cost, how far it is.

On a terminal bars; elsewhere, in a job's log for example, a line an epoch. Of several processes the
first speaks.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
from tqdm import tqdm

from samphire.cache import Cache, cache_dir, shown_bytes
from samphire.cli.tune_job import Job
from samphire.engines.torch_engine import TorchEngine
from samphire.samples import Sample, Split
from samphire.tuning import processes
from samphire.tuning.estimate import Estimate
from samphire.tuning.held_out import Measured, measure
from samphire.tuning.loop import Progress, fit
from samphire.tuning.settings import TuneSettings
from samphire.tuning.survey import Survey, survey
from samphire.tuning.tensorboard import open_writer
from samphire.tuning.validation import Validation
from samphire.weights.adapter_file import AdapterFile

Entry = dict[str, Any]


def say(text: str) -> None:
    """A line on stderr, of the first process."""
    if processes.is_first():
        click.echo(text, err=True)


def surveys(sets: Mapping[Split, Sequence[Sample]]) -> dict[Split, Survey]:
    """All samples read once, with a bar."""
    total = sum(len(samples) for samples in sets.values())
    first = processes.is_first()
    with tqdm(total=total, desc="reading", unit="sample", disable=None if first else True) as bar:

        def on_sample(_: int, __: int) -> None:
            bar.update()

        return {name: survey(samples, on_progress=on_sample) for name, samples in sets.items()}


def costs(estimate: Estimate, settings: TuneSettings, max_cache: int | None) -> Iterator[str]:
    """What a run will cost; and, if that is so, that the cache is too small for it.

    Args:
        estimate: of the run.
        settings: of the run.
        max_cache: bytes that may be kept; None: nothing is.
    """
    wanted = estimate.kept_bytes
    kept = "" if max_cache is None else f", {shown_bytes(min(wanted, max_cache))} of disk"
    yield (
        f"estimated, for all {settings.epochs} epochs: {_minutes(estimate.seconds)}, "
        f"{shown_bytes(estimate.step_bytes)} of memory a step{kept}"
    )
    if max_cache is not None and wanted > max_cache:
        views = "" if settings.augment == "none" else ', or augment = "none" in --config'
        yield (
            f"warning: to keep what the encoder makes of all pictures would take "
            f"{shown_bytes(wanted)}, and the cache holds {shown_bytes(max_cache)}, so most is "
            f"computed again each epoch: give --max-cache {wanted // 10**9 + 1}GB{views}"
        )


def fit_told(
    job: Job,
    engine: TorchEngine,
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TuneSettings,
    window: str,
    seen: Sequence[str],
) -> Validation:
    """The loop, with a bar or lines and, if wanted, with TensorBoard."""
    first = processes.is_first()
    writer = open_writer(job.folder) if job.tensorboard and first else None
    listeners: list[Callable[[Entry], None]] = [] if writer is None else [writer.add]
    if first and not sys.stderr.isatty():
        listeners.append(epoch_lines(settings.epochs, say))
    with tqdm(unit="step", disable=None if first else True) as bar:

        def on_progress(now: Progress) -> None:
            bar.total = now.steps
            bar.update(now.step - bar.n)
            bar.set_postfix(epoch=now.epoch + 1, loss=f"{now.loss:.3f}", val=f"{now.score:.3f}")

        def on_entry(entry: Entry) -> None:
            for listener in listeners:
                listener(entry)

        best = fit(
            engine,
            train,
            val,
            settings,
            job.folder,
            window=window,
            seen=seen,
            cache=None if job.max_cache is None else Cache(cache_dir() / "tokens", job.max_cache),
            on_progress=on_progress,
            on_entry=on_entry,
        )
    if writer is not None:
        writer.close()
    return best


def epoch_lines(epochs: int, told: Callable[[str], None]) -> Callable[[Entry], None]:
    """A listener to a run's log that tells a line an epoch: loss, score, seconds.

    Args:
        epochs: of the run, at most.
        told: called with each line.
    """
    losses: list[float] = []
    started = time.monotonic()

    def on_entry(entry: Entry) -> None:
        nonlocal started
        if "loss" in entry:
            losses.append(entry["loss"])
            return
        # none where a run goes on between the last step of an epoch and its validation
        loss = f"loss {sum(losses) / len(losses):.3f}, " if losses else ""
        seconds = time.monotonic() - started
        told(
            f"epoch {entry['epoch']} of {epochs}: {loss}validation score {entry['score']:.3f}, "
            f"{seconds:.1f} s"
        )
        losses.clear()
        started = time.monotonic()

    return on_entry


def measure_told(
    engine: TorchEngine,
    adapter: AdapterFile,
    held: Sequence[Sample],
    settings: TuneSettings,
    name: str,
) -> Measured:
    """Before and after, with a bar."""
    with tqdm(desc=f"measuring on {name}", unit="sample", disable=None) as bar:

        def on_sample(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return measure(engine, adapter, held, settings, on_progress=on_sample)


def _minutes(seconds: float) -> str:
    """A time for a person.

    >>> _minutes(42.4), _minutes(600), _minutes(7300)
    ('42 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
