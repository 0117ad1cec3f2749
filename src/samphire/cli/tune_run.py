"""What ``samphire tune`` does once its arguments are checked: data -> splits -> run -> report."""

import json
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from samphire import atomic
from samphire.cache import Cache, cache_dir, shown_bytes
from samphire.engines.load import load
from samphire.errors import AdapterError
from samphire.samples import DataSet
from samphire.samples.find import open_data
from samphire.samples.split import Splits, check_splits, make_splits, subset
from samphire.samples.split_file import load_splits, save_splits
from samphire.tuning.compare import Comparison, compare
from samphire.tuning.estimate import rehearse
from samphire.tuning.loop import ADAPTER, LOG, STATE, Progress, check_sets, fit
from samphire.tuning.settings import TuneSettings, as_toml, make_settings
from samphire.tuning.trained import trained_table
from samphire.weights.adapter_file import AdapterFile, load_adapter

SPLITS, CONFIG, RESULTS, ENVIRONMENT = (
    "splits.json", "config.toml", "results.json", "environment.json"
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What the command line asks for; see its help.

    Attributes:
        data: folder or file.
        folder: of the run.
        given: settings, as ``make_settings`` takes them.
        splits: a file of them, or None.
        model: see ``samphire.load``, as ``variant``, ``device`` and ``offline``.
        variant: of the model.
        device: that computes.
        offline: touch no network.
        tensorboard: also log for it.
        no_cache: keep nothing of the frozen part.
        force: begin anew where a run has been.
        as_json: tell the result as JSON.
    """

    data: Path
    folder: Path
    given: Mapping[str, Any]
    splits: Path | None
    model: str
    variant: str | None
    device: str
    offline: bool
    tensorboard: bool
    no_cache: bool
    force: bool
    as_json: bool


def run_tuning(job: Job) -> int:
    """The whole run; what it says goes to stderr, the result to stdout."""
    dataset, settings = _data_and_settings(job)
    splits = _splits(job, dataset)
    train, val, test = (subset(dataset, splits, name).samples for name in ("train", "val", "test"))
    check_sets(train, val)
    _say(f"{dataset.name}: {dataset.layout}; {len(train)} to train on, {len(val)} to validate on, "
         f"{len(test)} held out")  # fmt: skip
    for note in dataset.notes:
        _say(f"  {note}")
    engine = load(job.model, variant=job.variant, device=job.device, offline=job.offline)
    _prepare(job, splits, settings)
    for part, tensors, count in trained_table(settings.adaptation.apply(engine.module)):
        _say(f"  trains: {part:<32} {tensors:>4} tensors {count:>12,} parameters")
    estimate = rehearse(engine, train, val, settings)
    kept = "" if job.no_cache else f", {shown_bytes(estimate.kept_bytes)} of disk"
    _say(
        f"estimated, for all {settings.epochs} epochs: {_minutes(estimate.seconds)}, "
        f"{shown_bytes(estimate.step_bytes)} of memory a step{kept}"
    )
    started = time.perf_counter()
    cache = None if job.no_cache else Cache(cache_dir() / "tokens")
    with tqdm(unit="step", disable=None) as bar:

        def on_progress(now: Progress) -> None:
            bar.total = now.steps
            bar.update(now.step - bar.n)
            bar.set_postfix(epoch=now.epoch + 1, loss=f"{now.loss:.3f}", val=f"{now.score:.3f}")

        best = fit(engine, train, val, settings, job.folder, cache=cache, on_progress=on_progress)
    _say(
        f"best after epoch {best.epoch}: validation score {best.score:.3f}; "
        f"{_minutes(time.perf_counter() - started)}"
    )
    held, name = (test, "test") if test else (val, "val")
    adapter = load_adapter(job.folder / ADAPTER)
    with tqdm(desc=f"measuring on {name}", unit="sample", disable=None) as bar:

        def on_sample(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        comparisons = compare(engine, adapter, held, settings, on_progress=on_sample)
    results = _results(name, comparisons)
    _finish(job, adapter, dataset, splits, results)
    for comparison in comparisons:
        _say(f"{name}, {comparison.in_words()}")
    if job.as_json:
        click.echo(json.dumps(results))
    else:
        click.echo(job.folder / ADAPTER)
    return 0


def _data_and_settings(job: Job) -> tuple[DataSet, TuneSettings]:
    """The data as the task needs it; classes that it names need not be given."""
    given = dict(job.given)
    semantic = given.get("task", "interactive") != "interactive"
    classes = tuple(given.get("classes", ())) if semantic else ()
    dataset = open_data(job.data, classes=classes)
    if semantic and not classes:
        given["classes"] = list(dataset.classes)
        if not dataset.classes:
            raise click.UsageError(
                f"{job.data} does not name its classes: give --classes, for example --classes polyp"
            )
    try:
        return dataset, make_settings(given)
    except AdapterError as error:
        raise click.UsageError(str(error)) from error


def _splits(job: Job, dataset: DataSet) -> Splits:
    """Those given, or those of this run, or new ones."""
    ours = job.folder / SPLITS
    there = job.splits or (ours if ours.is_file() and not job.force else None)
    if there is None:
        return make_splits(dataset, seed=int(job.given.get("seed", 0)))
    splits = load_splits(there)
    check_splits(splits, dataset)
    return splits


def _prepare(job: Job, splits: Splits, settings: TuneSettings) -> None:
    """The folder, with all that tells what the run is."""
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.force:
        for name in (STATE, LOG, RESULTS):
            (job.folder / name).unlink(missing_ok=True)
    save_splits(job.folder / SPLITS, splits)
    atomic.write_bytes(job.folder / CONFIG, as_toml(settings).encode())
    environment = json.dumps(_environment(), indent=2) + "\n"
    atomic.write_bytes(job.folder / ENVIRONMENT, environment.encode())


def _environment() -> dict[str, str]:
    names = ("samphire", "torch", "numpy", "opencv-python-headless")
    return {
        "command": shlex.join(["samphire", *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in names},
    }


def _results(name: str, comparisons: tuple[Comparison, ...]) -> dict[str, Any]:
    return {
        "split": name,
        "protocols": [
            {
                "protocol": each.protocol,
                "cases": len(each.after.cases),
                "dice_before": None if each.before is None else each.before.mean_dice,
                "dice_after": each.after.mean_dice,
                "worse": each.worse,
            }
            for each in comparisons
        ],
    }


def _finish(
    job: Job, adapter: AdapterFile, dataset: DataSet, splits: Splits, results: dict[str, Any]
) -> None:
    """Write the results, and into the adapter's file what it was trained on and what it can do."""
    counts = {name: len(splits.ids(name)) for name in ("train", "val", "test")}
    data = {"name": dataset.name, "layout": dataset.layout, **counts}
    metrics = {**(adapter.metrics or {}), "held_out": results}
    replace(adapter, data=data, metrics=metrics).save(job.folder / ADAPTER)
    text = json.dumps(results, indent=2) + "\n"
    atomic.write_bytes(job.folder / RESULTS, text.encode())


def _minutes(seconds: float) -> str:
    """A time for a person.

    >>> _minutes(42.4), _minutes(600), _minutes(7300)
    ('42 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _say(text: str) -> None:
    click.echo(text, err=True)
