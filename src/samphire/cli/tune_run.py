"""What ``samphire tune`` does once its arguments are checked: data -> splits -> run -> report."""

import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from samphire import atomic
from samphire.cache import Cache, cache_dir, shown_bytes
from samphire.cli import tune_results
from samphire.cli.tune_data import data_and_settings
from samphire.engines.load import load
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import AdapterError
from samphire.evaluation.report import write_cases
from samphire.images.window import Window
from samphire.samples import DataSet, Sample, Split
from samphire.samples.split import SPLITS as SPLIT_NAMES
from samphire.samples.split import Splits, check_splits, make_splits, subset
from samphire.samples.split_file import load_splits, save_splits
from samphire.tuning import processes
from samphire.tuning.estimate import Estimate, rehearse
from samphire.tuning.held_out import Measured, draw_cases, measure
from samphire.tuning.log import read_log
from samphire.tuning.loop import (
    ADAPTER,
    LAST,
    LOG,
    STATE,
    Progress,
    check_folder,
    check_sets,
    fit,
    run_id,
)
from samphire.tuning.report.page import Report, TrainedPart, write_report
from samphire.tuning.settings import TuneSettings, as_toml, given_classes, settings_record
from samphire.tuning.survey import check_labels, in_words, survey, to_learn_from
from samphire.tuning.tensorboard import open_writer
from samphire.tuning.trained import trained_table
from samphire.tuning.validation import Validation
from samphire.weights.adapter_file import AdapterFile, load_adapter

SPLITS, CONFIG, ENVIRONMENT = "splits.json", "config.toml", "environment.json"
RESULTS, REPORT, CASES = "results.json", "report.html", "cases-{}.csv"


@dataclass(frozen=True)
class Job:
    """What the command line asks for; see its help.

    Attributes:
        data: folder or file.
        folder: of the run.
        given: settings, as ``make_settings`` takes them.
        splits: a file of them, or None.
        window: of volumes, or None.
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
    window: Window | None
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
    try:
        dataset, settings = data_and_settings(job.data, job.given, job.window)
    except AdapterError as error:
        raise click.UsageError(str(error)) from error
    splits = _splits(job, dataset)
    sets = {name: subset(dataset, splits, name).samples for name in SPLIT_NAMES}
    train, val, test = sets.values()
    check_sets(train, val)
    device = processes.start(job.device)
    train = _surveyed(sets, settings)
    check_sets(train, val)
    engine = load(job.model, variant=job.variant, device=device, offline=job.offline)
    if not job.force:  # before anything there is replaced
        check_folder(job.folder, run_id(engine, train, val, settings, dataset.window))
    trained = trained_table(settings.adaptation.apply(engine.module))
    if processes.is_first():
        _prepare(job, splits, settings)
        _say(f"{dataset.name}: {dataset.layout}; {len(train)} samples to train on, {len(val)} to "
             f"validate on, {len(test)} held out")  # fmt: skip
        for note in dataset.notes:
            _say(f"  {note}")
        for part, tensors, count in trained:
            _say(f"  trains: {part:<32} {tensors:>4} tensors {count:>12,} parameters")
        _say(_estimated(rehearse(engine, train, val, settings), job, settings))
    cache = None if job.no_cache else Cache(cache_dir() / "tokens")
    seen = _fingerprints(splits, (*train, *val))
    best = _fit(job, engine, train, val, settings, dataset.window, seen, cache)
    if not processes.is_first():
        return 0
    _say(f"best after epoch {best.epoch}: validation score {best.score:.3f}")
    held, name = (test, "test") if test else (val, "val")
    adapter = load_adapter(job.folder / ADAPTER)
    measured = _measured(engine, adapter, held, settings, name)
    results = tune_results.results(name, measured)
    for entry in results["protocols"]:
        _say(f"{name}, {tune_results.in_words(entry)}")
    _finish(job, adapter, dataset, splits, results, left_out=len(sets["train"]) - len(train))
    for protocol, (_, after) in measured.items():
        write_cases(job.folder / CASES.format(protocol), after)
    told = _environment()
    split = f"Measured on {name}, {tune_results.chosen(name)}."
    report = Report(
        title=f"Tuning on {dataset.name}",
        command=told["command"],
        base=str(engine.info),
        environment={key: value for key, value in told.items() if key != "command"},
        settings=json.loads(json.dumps(settings_record(settings))),
        trained=[TrainedPart(*row) for row in trained[:-1]],
        parameters=sum(value.numel() for value in engine.module.parameters()),
        log=read_log(job.folder / LOG),
        evaluations={str(protocol): pair for protocol, pair in measured.items()},
        pictures=draw_cases(engine, adapter, held, measured),
        notes=[split, *dataset.notes, *tune_results.drops(results)],
        cases_file=CASES.format("*"),
    )
    write_report(job.folder / REPORT, report)
    _say(f"report: {job.folder / REPORT}")
    click.echo(json.dumps(results) if job.as_json else job.folder / ADAPTER)
    return 0


def _measured(
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


def _surveyed(sets: Mapping[Split, Sequence[Sample]], settings: TuneSettings) -> tuple[Sample, ...]:
    """All samples read once, and what was found told; of the training set, those of use.

    Of the others nothing is taken away: measuring has rules of its own for what it cannot read.
    """
    first = processes.is_first()
    total = sum(len(samples) for samples in sets.values())
    found = {}
    with tqdm(total=total, desc="reading", unit="sample", disable=None if first else True) as bar:

        def on_sample(_: int, __: int) -> None:
            bar.update()

        for name, samples in sets.items():
            found[name] = survey(samples, on_progress=on_sample)
    for name, each in found.items():
        for sentence in in_words(name, each, settings) if first else ():
            _say(sentence)
        check_labels(each, settings)
    return to_learn_from(found["train"], settings)


def _fit(
    job: Job,
    engine: TorchEngine,
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TuneSettings,
    window: str,
    seen: Sequence[str],
    cache: Cache | None,
) -> Validation:
    """The loop, with a bar and, if wanted, with TensorBoard."""
    first = processes.is_first()
    writer = open_writer(job.folder) if job.tensorboard and first else None
    with tqdm(unit="step", disable=None if first else True) as bar:

        def on_progress(now: Progress) -> None:
            bar.total = now.steps
            bar.update(now.step - bar.n)
            bar.set_postfix(epoch=now.epoch + 1, loss=f"{now.loss:.3f}", val=f"{now.score:.3f}")

        best = fit(
            engine,
            train,
            val,
            settings,
            job.folder,
            window=window,
            seen=seen,
            cache=cache,
            on_progress=on_progress,
            on_entry=None if writer is None else writer.add,
        )
    if writer is not None:
        writer.close()
    return best


def _estimated(estimate: Estimate, job: Job, settings: TuneSettings) -> str:
    kept = "" if job.no_cache else f", {shown_bytes(estimate.kept_bytes)} of disk"
    return (
        f"estimated, for all {settings.epochs} epochs: {_minutes(estimate.seconds)}, "
        f"{shown_bytes(estimate.step_bytes)} of memory a step{kept}"
    )


def _splits(job: Job, dataset: DataSet) -> Splits:
    """Those given, or those of this run, or new ones."""
    ours = job.folder / SPLITS
    there = job.splits or (ours if ours.is_file() and not job.force else None)
    if there is None:
        return make_splits(dataset, seed=int(job.given.get("seed", 0)))
    splits = load_splits(there)
    check_splits(splits, dataset)
    return splits


def _fingerprints(splits: Splits, samples: Sequence[Sample]) -> list[str]:
    """By which the adapter's file knows the samples again; slices of a volume share one."""
    ids = {sample.id for sample in samples}
    members = (*splits.train, *splits.val)
    return sorted({member.fingerprint for member in members if member.id in ids})


def _prepare(job: Job, splits: Splits, settings: TuneSettings) -> None:
    """The folder, with all that tells what the run is."""
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.force:
        for name in (STATE, LOG, RESULTS, ADAPTER, LAST):
            (job.folder / name).unlink(missing_ok=True)
    save_splits(job.folder / SPLITS, splits)
    atomic.write_bytes(
        job.folder / CONFIG, as_toml(settings, classes=given_classes(job.given)).encode()
    )
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


def _finish(
    job: Job,
    adapter: AdapterFile,
    dataset: DataSet,
    splits: Splits,
    results: dict[str, Any],
    *,
    left_out: int,
) -> None:
    """Write the results, and into the adapter's file what it was trained on and what it can do."""
    counts = {name: len(splits.ids(name)) for name in ("train", "val", "test")}
    data = {"name": dataset.name, "layout": dataset.layout, **counts, "left_out": left_out}
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
