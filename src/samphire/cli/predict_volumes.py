"""``samphire predict`` on NIfTI volumes: a volume of labels beside each, voxel on voxel.

Slices are those that tuning learned from: the scanned plane, greys by the adapter's window, of the
whole volume. Not for pictures (``mask_run.py``).
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from samphire.batch.journal import settings_id
from samphire.batch.local import Outcome, check_free, find_tasks, run
from samphire.batch.task import Product, Task
from samphire.cli.engine_choice import EngineChoice, adapter_summary
from samphire.cli.outputs import names_one_file
from samphire.cli.report import tell, tell_all, tell_failures
from samphire.engines.base import Engine
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.images.intensity import to_bytes
from samphire.images.window import Window, parse_window
from samphire.predict.volume import classify_volume
from samphire.samples import nifti

SUFFIX = ".labels.nii.gz"


@dataclass(frozen=True)
class VolumeJob:
    """What becomes of each volume.

    Attributes:
        engine: with classes.
        window: which intensities become black and white.
        cache: of the slices' embeddings; None: none are kept.
    """

    engine: Engine
    window: Window
    cache: EmbeddingCache | None

    def product(self, task: Task, target: Path) -> Product:
        """The labels of one volume, ready to be written."""
        started = time.perf_counter()
        grid, voxels = nifti.read_grid(task.source), nifti.read_voxels(task.source)
        plane = nifti.widest_plane(grid)
        greys = to_bytes(nifti.slices(voxels, plane), self.window.ends(voxels))
        with tqdm(total=len(greys), unit="slice", desc=task.name, leave=False, disable=None) as bar:

            def on_progress(done: int, _: int) -> None:
                bar.update(done - bar.n)

            labels = classify_volume(self.engine, greys, cache=self.cache, on_progress=on_progress)
        data = nifti.encode_labels(nifti.unslice(labels, plane), task.source)
        counts = np.bincount(labels.ravel(), minlength=len(self.engine.info.classes) + 1)
        return Product(
            ((target, data),),
            {
                "slices": len(greys),
                "plane": plane,
                "window": str(self.window),
                "seconds": round(time.perf_counter() - started, 3),
                "engine": str(self.engine.info),
                "classes": [
                    {
                        "name": name,
                        "label": label,
                        "voxels": int(counts[label]),
                        "millilitres": round(float(counts[label] * np.prod(grid.spacing)) / 1e3, 3),
                    }
                    for label, name in enumerate(self.engine.info.classes, start=1)
                ],
            },
        )


def open_job(
    choice: EngineChoice, given: tuple[float, float] | None, max_cache: int | None
) -> VolumeJob:
    """Load the engine; the window is the one given, the adapter's, or tuning's default."""
    own = adapter_summary(choice.adapter).window if choice.adapter else ""
    window = Window(*given) if given else parse_window(own or "percentile")
    cache = None if max_cache is None else EmbeddingCache(max_bytes=max_cache)
    return VolumeJob(choice.load(), window, cache)


def in_words(record: dict[str, Any]) -> str:
    """One line about a volume: how much of it each class is."""
    found = ", ".join(
        f"{each['name']}: {each['millilitres']:g} ml"
        if each["voxels"]
        else f"{each['name']}: not found"
        for each in record["classes"]
    )
    return f"{record['slices']} {record['plane']} slices, {found}; {record['seconds']:.1f} s"


def run_one(job: VolumeJob, given: str, output: str | None, *, force: bool, as_json: bool) -> int:
    """One volume; by default its labels go into the current folder."""
    source = Path(given)
    task = Task(source.name, source)
    exact = output is not None and names_one_file(output)
    target = Path(output or ".") if exact else Path(output or ".") / labels_name(source.name)
    check_free([target], force=force)
    product = job.product(task, target)
    product.write()
    tell(Outcome(task, "done", product.outputs, product.record), in_words, as_json=as_json)
    return 0


def run_many(
    job: VolumeJob, inputs: tuple[str, ...], folder: Path, *, force: bool, as_json: bool
) -> int:
    """Volumes and folders of them, through the journal."""
    found = find_tasks([Path(given) for given in inputs], frozenset(nifti.SUFFIXES), folder)
    tasks = [task for task in found if not task.name.endswith(SUFFIX)]
    targets = {task.name: folder / labels_name(task.name) for task in tasks}
    twins = [str(path) for path, count in Counter(targets.values()).items() if count > 1]
    if twins:
        raise click.UsageError(f"two volumes would both become {twins[0]}: rename one of them")
    info = job.engine.info
    settings = {
        "command": "predict volumes",
        "base_id": info.base_id,
        "adapter": info.adapter,
        "preprocessing": info.preprocessing,
        "window": str(job.window),
    }
    outcomes = run(
        tasks,
        lambda task: job.product(task, targets[task.name]),
        folder=folder,
        settings=settings_id(settings),
        force=force,
    )
    counts, failed = tell_all(outcomes, len(tasks), in_words, as_json=as_json)
    click.echo(
        f"{counts['done']} labelled, {counts['skipped']} done before, {counts['failed']} failed; "
        f"labels are in {folder}",
        err=True,
    )
    tell_failures(failed)
    return 1 if failed else 0


def labels_name(name: str) -> str:
    """What the labels of a volume are called.

    >>> labels_name("liver/case_1.nii.gz")
    'liver/case_1.labels.nii.gz'
    """
    return name.removesuffix(".gz").removesuffix(".nii") + SUFFIX
