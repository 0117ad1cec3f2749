"""The run behind ``samphire evaluate``: measure, compare with the base, tell, write."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import click
from tqdm import tqdm

from samphire import atomic
from samphire.arrays import ByteArray
from samphire.cli.evaluate import BASE_CASES, CASES, SUMMARY
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.engines.load import adapt, load
from samphire.evaluation.comparison import SAME, Comparison, compare
from samphire.evaluation.everything import Proposals, evaluate_everything
from samphire.evaluation.protocols import Evaluation, Protocol, evaluate
from samphire.evaluation.report import (
    Report,
    as_json,
    in_words,
    interval_as_json,
    report,
    value_in_words,
    write_cases,
)
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.predict.embed import embed
from samphire.samples import DataSet


@dataclass(frozen=True, eq=False)
class Job:
    """What to measure; see the options of ``samphire evaluate``.

    Attributes:
        data: the samples.
        part: the name of their split, or ``all``.
        protocol: its name.
        model: a name or file.
        variant: of a file.
        adapter: its file.
        seen: how many of the samples the adapter has seen; None without one, or not known.
        compared: the model without the adapter is measured, too.
        clicks: at each object.
        tolerance: of the surface Dice.
        device: to compute on.
        offline: touch no network.
        max_cache: bytes that kept embeddings take; None keeps none.
    """

    data: DataSet
    part: str
    protocol: str
    model: str
    variant: str | None
    adapter: Path | None
    seen: int | None
    compared: bool
    clicks: int
    tolerance: float
    device: str
    offline: bool
    max_cache: int | None


def run(job: Job, output: Path | None, *, print_json: bool) -> int:
    """Measure and tell; 1 if something could not be read."""
    base = load(job.model, variant=job.variant, device=job.device, offline=job.offline)
    engine = base if job.adapter is None else adapt(base, job.adapter)
    measured = _measure(job, engine, "adapter" if job.adapter else "")
    before = _measure(job, base, "base") if job.compared else None
    found = report(measured)
    reports = {"base": report(before)} if before else {}
    reports["adapter" if job.adapter else base.info.model] = found
    compared = compare(before, measured) if before else None
    record = _record(job, str(engine.info), found, reports.get("base"), compared)
    if print_json:
        click.echo(json.dumps(record))
    else:
        for line in _told(job, str(engine.info), reports, compared):
            click.echo(line)
    if output is not None:
        write_cases(output / CASES, measured)
        if before is not None:
            write_cases(output / BASE_CASES, before)
        text = json.dumps(record, indent=1, ensure_ascii=False)
        atomic.write_bytes(output / SUMMARY, text.encode() + b"\n")
        click.echo(f"written: files in {output}", err=True)
    return 1 if found.failures else 0


def _measure(job: Job, engine: Engine, name: str) -> Evaluation | Proposals:
    """One engine on all samples, beside a progress bar."""
    cache = None if job.max_cache is None else EmbeddingCache(max_bytes=job.max_cache)
    samples = job.data.samples

    def embedded(rgb: ByteArray) -> ImageEmbedding:
        return embed(engine, rgb, cache=cache)

    with tqdm(total=len(samples), unit="sample", desc=name or None, disable=None) as bar:

        def on_progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        if job.protocol == "everything":
            return evaluate_everything(
                engine, samples, embed_picture=embedded, on_progress=on_progress
            )
        return evaluate(
            engine,
            samples,
            cast("Protocol", job.protocol),
            clicks=job.clicks,
            tolerance=job.tolerance,
            embed_picture=embedded,
            on_progress=on_progress,
        )


def _told(
    job: Job, engine: str, reports: dict[str, Report], compared: Comparison | None
) -> Iterator[str]:
    """The result in words."""
    count = len(job.data.samples)
    yield f"{job.data.name}, split {job.part}: {count} sample{'s' * (count != 1)}, by {engine}"
    yield from in_words(reports)
    if compared is not None:
        yield (
            f"adapter minus base, {compared.measure}: "
            f"{value_in_words(compared.difference, sign='+')}; better by more than {SAME} in "
            f"{compared.better} of {compared.n} cases, worse in {compared.worse}"
        )


def _record(
    job: Job, engine: str, found: Report, base: Report | None, compared: Comparison | None
) -> dict[str, Any]:
    asked = {"clicks": job.clicks} if job.protocol == "points" else {}
    near = {} if job.protocol == "everything" else {"tolerance": job.tolerance}
    record = {
        "data": job.data.name,
        "split": job.part,
        **({"window": job.data.window} if job.data.window else {}),
        "samples": len(job.data.samples),
        "model": job.model,
        "engine": engine,
        "adapter": str(job.adapter) if job.adapter else None,
        **({"samples_seen": job.seen} if job.adapter else {}),
        **asked,
        **near,
        **as_json(found),
    }
    if base is not None and compared is not None:
        difference = interval_as_json(compared.difference)
        record["base"] = as_json(base)
        record["adapter_minus_base"] = asdict(compared) | {
            "n": compared.n,
            "difference": difference,
        }
    return record
