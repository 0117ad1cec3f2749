"""What ``samphire tune`` does once its arguments are checked: data -> splits -> run -> report."""

import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import click

from samphire import atomic
from samphire.cli import tune_results
from samphire.cli.seen_samples import fingerprints
from samphire.cli.tune_data import data_and_settings
from samphire.cli.tune_job import RESULTS, SPLITS, Job, splits_of
from samphire.cli.tune_progress import costs, fit_told, measure_told, say, surveys
from samphire.engines.load import load
from samphire.errors import AdapterError
from samphire.evaluation.report import write_cases
from samphire.samples import DataSet, Sample, Split
from samphire.samples.split import SPLITS as SPLIT_NAMES
from samphire.samples.split import Splits, subset
from samphire.samples.split_file import save_splits
from samphire.tuning import processes
from samphire.tuning.estimate import rehearse
from samphire.tuning.held_out import draw_cases
from samphire.tuning.log import read_log
from samphire.tuning.loop import ADAPTER, LAST, LOG, STATE, check_folder, check_sets, run_id
from samphire.tuning.report.page import Report, TrainedPart, write_report
from samphire.tuning.settings import TuneSettings, as_toml, given_classes, settings_record
from samphire.tuning.survey import (
    check_labels,
    check_validation,
    in_words,
    to_learn_from,
    to_measure,
)
from samphire.tuning.trained import trained_table
from samphire.weights.adapter_file import AdapterFile, load_adapter

CONFIG, ENVIRONMENT = "config.toml", "environment.json"
REPORT, CASES = "report.html", "cases-{}.csv"


def run_tuning(job: Job) -> int:
    """The whole run; what it says goes to stderr, the result to stdout."""
    try:
        dataset, settings = data_and_settings(job.data, job.given, job.window)
    except AdapterError as error:
        raise click.UsageError(str(error)) from error
    splits, mended = splits_of(job, dataset)
    sets = {name: subset(dataset, splits, name).samples for name in SPLIT_NAMES}
    check_sets(sets["train"], sets["val"])
    device = processes.start(job.device)
    for note in mended:
        say(note)
    used, left_out = _of_use(sets, settings)
    train, val, test = used.values()
    check_sets(train, val)
    engine = load(job.model, variant=job.variant, device=device, offline=job.offline)
    if not job.force:  # before anything there is replaced
        check_folder(job.folder, run_id(engine, train, val, settings, dataset.window))
    trained = trained_table(settings.adaptation.apply(engine.module))
    if processes.is_first():
        _prepare(job, splits, settings)
        say(f"{dataset.name}: {dataset.layout}; {len(train)} samples to train on, {len(val)} to "
            f"validate on, {len(test)} held out")  # fmt: skip
        for note in dataset.notes:
            say(f"  {note}")
        for part, tensors, count in trained:
            say(f"  trains: {part:<32} {tensors:>4} tensors {count:>12,} parameters")
        estimate = rehearse(engine, train, val, settings, max_kept=job.max_cache)
        for sentence in costs(estimate, settings, job.max_cache):
            say(sentence)
    processes.wait_for_all()  # none may find what the first has yet to remove
    seen = sorted(set(fingerprints((*train, *val))))
    best = fit_told(job, engine, train, val, settings, dataset.window, seen)
    if not processes.is_first():
        return 0
    say(f"best after epoch {best.epoch}: validation score {best.score:.3f}")
    held, name = (test, "test") if test else (val, "val")
    adapter = load_adapter(job.folder / ADAPTER)
    measured = measure_told(engine, adapter, held, settings, name)
    results = tune_results.results(name, measured)
    for entry in results["protocols"]:
        say(f"{name}, {tune_results.in_words(entry)}")
    counts = {each: len(sets[each]) - len(used[each]) for each in SPLIT_NAMES}
    _finish(job, adapter, dataset, splits, results, left_out=counts)
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
        notes=[split, *mended, *left_out, *dataset.notes, *tune_results.drops(results)],
        cases_file=CASES.format("*"),
    )
    write_report(job.folder / REPORT, report)
    say(f"report: {job.folder / REPORT}")
    click.echo(json.dumps(results) if job.as_json else job.folder / ADAPTER)
    return 0


def _of_use(
    sets: Mapping[Split, Sequence[Sample]], settings: TuneSettings
) -> tuple[dict[Split, tuple[Sample, ...]], list[str]]:
    """Of all samples, read once, those that can be used; and what was told of the others.

    What would end the run after an hour is refused here.
    """
    found = surveys(sets)
    told = [
        sentence
        for name, samples in sets.items()
        for sentence in in_words(name, samples, found[name], settings)
    ]
    for sentence in told:
        say(sentence)
    for each in found.values():
        check_labels(each, settings)
    check_validation(sets["val"], found["val"])
    used: dict[Split, tuple[Sample, ...]] = {"train": to_learn_from(found["train"], settings)}
    used |= {name: to_measure(sets[name], found[name]) for name in SPLIT_NAMES if name != "train"}
    return used, told


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
    left_out: Mapping[Split, int],
) -> None:
    """Write the results, and into the adapter's file what it was trained on and what it can do."""
    counts = {name: len(splits.ids(name)) for name in ("train", "val", "test")}
    data = {"name": dataset.name, "layout": dataset.layout, **counts, "left_out": dict(left_out)}
    metrics = {**(adapter.metrics or {}), "held_out": results}
    replace(adapter, data=data, metrics=metrics).save(job.folder / ADAPTER)
    text = json.dumps(results, indent=2) + "\n"
    atomic.write_bytes(job.folder / RESULTS, text.encode())
