"""What ``samphire tune`` was asked for: its job, and of that the splits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samphire.images.window import Window
from samphire.samples import DataSet
from samphire.samples.split import Splits, check_splits, listed, make_splits, with_new_test
from samphire.samples.split_file import load_splits

SPLITS, RESULTS = "splits.json", "results.json"


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
        max_cache: bytes that the frozen part's results may take; None: none is kept.
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
    max_cache: int | None
    force: bool
    as_json: bool


def splits_of(job: Job, dataset: DataSet) -> tuple[Splits, tuple[str, ...]]:
    """Those given, or those of this run, or new ones; and what a person should know of them.

    Until it is measured, a test set decides nothing: a file of it that was mended meanwhile is no
    reason to train again.
    """
    ours = job.folder / SPLITS
    under_way = ours.is_file() and not job.force
    there = job.splits or (ours if under_way else None)
    if there is None:
        return make_splits(dataset, seed=int(job.given.get("seed", 0))), ()
    splits = load_splits(there)
    changed: tuple[str, ...] = ()
    if under_way and not _was_tested(job.folder):
        splits, changed = with_new_test(splits, dataset)
    check_splits(splits, dataset)
    if not changed:
        return splits, ()
    said = f"test: changed since the splits were made, {len(changed)}: {listed(changed)}"
    return splits, (f"{said}; nothing was measured on test yet, so the run goes on",)


def _was_tested(folder: Path) -> bool:
    """Whether the run there was measured on its test set."""
    try:
        found = json.loads((folder / RESULTS).read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True  # who can say
    return not isinstance(found, dict) or found.get("split") == "test"
