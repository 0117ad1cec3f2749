"""Images -> masks -> files, for commands that find masks by themselves, whatever they look for.

One image, or folders through the journal, in this process or several. Not for prompts, which each
image may have its own of (``segment_run.py``).
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from samphire.arrays import ByteArray
from samphire.batch.journal import settings_id
from samphire.batch.local import Outcome, check_free, run, run_in_processes
from samphire.batch.task import Product, Task
from samphire.cli.engine_choice import EngineChoice
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
from samphire.cli.report import Describe, tell, tell_all, tell_failures
from samphire.engines.base import Engine
from samphire.formats import FORMATS, Format, Picture
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.images.draw import Captions, draw, encode_png
from samphire.masks import Masks

# An engine, the pixels of a picture, its name, where embeddings are kept -> masks.
Find = Callable[[Engine, ByteArray, str, EmbeddingCache | None], Masks]


@dataclass(frozen=True)
class MaskJob:
    """What the command line asks for, beside the inputs; it travels to worker processes.

    Attributes:
        engine: which one.
        find: finds the masks of a picture; a function of a module, or a ``partial`` of one.
        settings: all that ``find`` depends on besides engine and picture, the command included.
        formats: names of the formats of the masks' files.
        overlay: what to write on the masks of a picture with them drawn on it; None: no picture.
        reading: how pictures are read.
        max_cache: bytes of the embeddings kept between runs; None: none are kept.
        targets: where the masks of each task go.
    """

    engine: EngineChoice
    find: Find
    settings: dict[str, Any]
    formats: tuple[str, ...]
    overlay: Captions | None
    reading: Reading
    max_cache: int | None
    targets: dict[str, Target] = field(default_factory=dict)

    def open(self) -> Callable[[Task], Product]:
        """What a worker process does with a task."""
        return self.producer(self.engine.load())

    def producer(self, engine: Engine) -> Callable[[Task], Product]:
        """What becomes of a task of a folder run."""
        return lambda task: self.product(engine, task.source, task.name, self.targets[task.name])

    def masks(self, engine: Engine, image: Path | bytes, name: str) -> tuple[Masks, ByteArray]:
        """The masks of one image, empty ones included, and its pixels."""
        rgb = self.reading.read(image, engine)
        cache = None if self.max_cache is None else EmbeddingCache(max_bytes=self.max_cache)
        return self.find(engine, rgb, name, cache), rgb

    def product(self, engine: Engine, image: Path | bytes, name: str, target: Target) -> Product:
        """The masks of one image, ready to be written."""
        started = time.perf_counter()
        masks, rgb = self.masks(engine, image, name)
        seconds = time.perf_counter() - started
        picture = picture_of(image, name, target, rgb)
        written = [
            (kind, for_format(masks, kind)) for kind in map(FORMATS.__getitem__, self.formats)
        ]
        files = [
            file for kind, some in written for file in contents(some, target, [kind], picture, None)
        ]
        found = masks[masks.area > 0]
        if self.overlay is not None:
            files.append((target.overlay, encode_png(draw(rgb, found, captions=self.overlay))))
        return Product(
            files=tuple(files),
            record={
                "width": masks.size.width,
                "height": masks.size.height,
                "seconds": round(seconds, 3),
                "engine": str(engine.info),
                "losses": [loss for kind, some in written for loss in losses(some, [kind])],
                "masks": [scores(found, index) for index in range(len(found))],
            }
            | ({"not_found": _not_found(masks)} if any(masks.name) else {}),
        )

    def journal_settings(self, engine: Engine) -> dict[str, Any]:
        """All that the outputs depend on besides the image."""
        return {
            **self.settings,
            "base_id": engine.info.base_id,
            "adapter": engine.info.adapter,
            "preprocessing": engine.info.preprocessing,
            "formats": list(self.formats),
            "overlay": self.overlay is not None,
            "page": self.reading.page,
            "window": self.reading.window,
        }


def for_format(masks: Masks, kind: Format) -> Masks:
    """What of the masks goes into a file: those with a pixel.

    A label map keeps the others, too: its values count the masks, and so a class has one value in
    all pictures.
    """
    return masks if kind.name.startswith("label-map") else masks[masks.area > 0]


def _not_found(masks: Masks) -> list[str]:
    return [name for name, area in zip(masks.name, masks.area, strict=True) if not area]


def run_one(
    job: MaskJob, image: str, output: str | None, describe: Describe, *, force: bool, as_json: bool
) -> int:
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
        masks, _ = job.masks(job.engine.load(), source, task.name)
        (data,) = kind.encode(for_format(masks, kind), Picture())
        sys.stdout.buffer.write(data)
        return 0
    target = single_target(output, task)
    # the number of masks is not known yet, so what is one file a picture is checked now
    check_free(_sure_outputs(job, target), force=force)
    product = job.product(job.engine.load(), source, task.source.name, target)
    check_free(product.outputs, force=force)
    say_losses(task, product)
    product.write()
    tell(Outcome(task, "done", product.outputs, product.record), describe, as_json=as_json)
    return 0


def run_many(
    job: MaskJob,
    tasks: list[Task],
    folder: Path,
    describe: Describe,
    *,
    jobs: int,
    threads: int,
    force: bool,
    as_json: bool,
) -> int:
    """Files and folders, through the journal."""
    engine = job.engine.load()
    settings = settings_id(job.journal_settings(engine))
    job = replace(job, targets=folder_targets(tasks, folder))
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
        outcomes = run_in_processes(
            tasks,
            job.open,
            folder=folder,
            settings=settings,
            force=force,
            announce=say_losses,
            jobs=jobs,
            threads=threads,
        )
    counts, failed = tell_all(outcomes, len(tasks), describe, as_json=as_json)
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


def _sure_outputs(job: MaskJob, target: Target) -> list[Path]:
    """The outputs whose names do not depend on the number of masks."""
    files = [target.masks(FORMATS[name].suffix) for name in job.formats]
    return files if job.overlay is None else [*files, target.overlay]
