"""What ``samphire everything`` does once its arguments are checked: images -> masks -> files."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from samphire.arrays import ByteArray
from samphire.batch.journal import settings_id
from samphire.batch.local import Outcome, check_free, run, run_in_processes
from samphire.batch.task import Product, Task
from samphire.cli.inputs import Reading
from samphire.cli.mask_files import (
    combine_files,
    contents,
    losses,
    picture_of,
    say_losses,
    scores,
)
from samphire.cli.outputs import STREAM, Target, folder_targets, single_target
from samphire.cli.report import tell, tell_all, tell_failures
from samphire.engines.base import Engine
from samphire.engines.load import load
from samphire.formats import FORMATS, Picture
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.images.draw import draw, encode_png
from samphire.images.read import read_image
from samphire.masks import Masks
from samphire.masks.hierarchy import hierarchy
from samphire.predict.everything import segment_everything
from samphire.predict.everything_settings import EverythingSettings, as_json


@dataclass(frozen=True)
class Job:
    """What the command line asks for, beside the inputs; it travels to worker processes.

    Attributes:
        model: see ``samphire.load``, as ``variant``, ``device`` and ``offline``.
        variant: of the model.
        device: that computes.
        offline: touch no network.
        settings: of everything mode.
        hierarchy: say which masks are parts of which.
        formats: names of the formats of the masks' files.
        overlay: also make a picture with the masks drawn on it.
        reading: how pictures are read.
        max_cache: bytes of the embeddings kept between runs; None: none are kept.
        max_memory: bytes of the process; None: no limit.
        targets: where the masks of each task go.
        bar: show a bar for the points of each image.
    """

    model: str
    variant: str | None
    device: str
    offline: bool
    settings: EverythingSettings
    hierarchy: bool
    formats: tuple[str, ...]
    overlay: bool
    reading: Reading
    max_cache: int | None
    max_memory: int | None
    targets: dict[str, Target] = field(default_factory=dict)
    bar: bool = True

    def engine(self) -> Engine:
        """The engine."""
        return load(self.model, variant=self.variant, device=self.device, offline=self.offline)

    def open(self) -> Callable[[Task], Product]:
        """What a worker process does with a task."""
        return self.producer(self.engine())

    def producer(self, engine: Engine) -> Callable[[Task], Product]:
        """What becomes of a task of a folder run."""
        return lambda task: self.product(engine, task.source, task.name, self.targets[task.name])

    def masks(self, engine: Engine, image: Path | bytes, name: str) -> tuple[Masks, ByteArray]:
        """All masks of one image, and its pixels."""
        reading = self.reading
        rgb = read_image(image, reading.max_pixels, page=reading.page, window=reading.window)
        with tqdm(desc=name, unit="point", leave=False, disable=None if self.bar else True) as bar:

            def on_progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            masks = segment_everything(
                engine,
                rgb,
                self.settings,
                on_progress=on_progress,
                max_memory=self.max_memory,
                cache=None if self.max_cache is None else EmbeddingCache(max_bytes=self.max_cache),
            )
        return hierarchy(masks) if self.hierarchy else masks, rgb

    def product(self, engine: Engine, image: Path | bytes, name: str, target: Target) -> Product:
        """The masks of one image, ready to be written."""
        started = time.perf_counter()
        masks, rgb = self.masks(engine, image, name)
        seconds = time.perf_counter() - started
        formats = [FORMATS[kind] for kind in self.formats]
        overlay = encode_png(draw(rgb, masks, captions="ids")) if self.overlay else None
        return Product(
            files=contents(masks, target, formats, picture_of(image, name, target, rgb), overlay),
            record={
                "width": masks.size.width,
                "height": masks.size.height,
                "seconds": round(seconds, 3),
                "engine": str(engine.info),
                "losses": losses(masks, formats),
                "masks": [scores(masks, index) for index in range(len(masks))],
            },
        )


def everything_one(job: Job, image: str, output: str | None, *, force: bool, as_json: bool) -> int:
    """One image: a file, or stdin; into files, or to stdout."""
    stdin = image == STREAM
    source = sys.stdin.buffer.read() if stdin else Path(image)
    task = Task("stdin" if stdin else image, Path(image))
    if output == STREAM:
        kind = FORMATS[job.formats[0]]
        if len(kind.paths(Path("masks"), 2)) > 1:
            raise click.UsageError(
                f"{kind.name} is several files, and stdout is one: take --format json"
            )
        masks, _ = job.masks(job.engine(), source, task.name)
        (data,) = kind.encode(masks, Picture())
        sys.stdout.buffer.write(data)
        return 0
    target = single_target(output, task)
    # the number of masks is not known yet, so what is one file a picture is checked now
    check_free(_sure_outputs(job, target), force=force)
    product = job.product(job.engine(), source, task.source.name, target)
    check_free(product.outputs, force=force)
    say_losses(task, product)
    product.write()
    tell(Outcome(task, "done", product.outputs, product.record), _in_words, as_json=as_json)
    return 0


def everything_many(
    job: Job,
    tasks: list[Task],
    folder: Path,
    *,
    jobs: int,
    threads: int,
    force: bool,
    as_json: bool,
) -> int:
    """Files and folders, through the journal."""
    engine = job.engine()
    settings = settings_id(_settings(engine, job))
    job = replace(job, targets=folder_targets(tasks, folder), bar=jobs == 1)
    if jobs == 1:
        outcomes = run(
            tasks,
            job.producer(engine),
            folder=folder,
            settings=settings,
            force=force,
            announce=say_losses,
        )
    else:
        del engine  # each process has its own
        share = None if job.max_memory is None else job.max_memory // (jobs + 1)
        outcomes = run_in_processes(
            tasks,
            replace(job, max_memory=share).open,
            folder=folder,
            settings=settings,
            force=force,
            announce=say_losses,
            jobs=jobs,
            threads=threads,
        )
    counts, failed = tell_all(outcomes, len(tasks), _in_words, as_json=as_json)
    missing = {outcome.task.name for outcome in failed}
    targets = [target for name, target in job.targets.items() if name not in missing]
    whole = combine_files([FORMATS[name] for name in job.formats], targets, folder)
    click.echo(
        f"{counts['done']} segmented, {counts['skipped']} done before, {counts['failed']} failed; "
        f"masks are in {folder}",
        err=True,
    )
    for path in whole:
        click.echo(path)
    tell_failures(failed)
    return 1 if failed else 0


def _sure_outputs(job: Job, target: Target) -> list[Path]:
    """The outputs whose names do not depend on the number of masks."""
    files = [target.masks(FORMATS[name].suffix) for name in job.formats]
    return [*files, target.overlay] if job.overlay else files


def _settings(engine: Engine, job: Job) -> dict[str, Any]:
    """All that the outputs depend on besides the image."""
    return {
        "command": "everything",
        "base_id": engine.info.base_id,
        "preprocessing": engine.info.preprocessing,
        "settings": as_json(job.settings),
        "hierarchy": job.hierarchy,
        "formats": list(job.formats),
        "overlay": job.overlay,
        "page": job.reading.page,
        "window": job.reading.window,
    }


def _in_words(record: dict[str, Any]) -> str:
    return (
        f"{record['width']}x{record['height']}, {len(record['masks'])} masks; "
        f"{record['seconds']:.1f} s, {record['engine']}"
    )
