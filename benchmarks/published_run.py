"""The published everything mode, measured in steps that are kept: a run that was stopped goes on.

It takes minutes, and minutes without foreign load are rare, so each call of 64 points is a round of
its own, in which our two paths answer for the same 64 points, too. A step is a file; remove the
folder after a change of ``published_everything.py``.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import OUR_PATHS, Contender, ForeignLoad, Worker, in_turns
from published_everything import POINTS_PER_BATCH
from results import WORK, duration

from samphire import atomic


def folder_of(model: str, per_side: int, allocator: str) -> Path:
    """Where the steps of a run are kept; ``settle.npz`` has its masks."""
    return WORK / f"published-{model}-{per_side}-{allocator}"


def measure_steps(
    contenders: Mapping[str, Contender], folder: Path, per_side: int, most_foreign: float
) -> dict[str, Any]:
    """Encode, each call of 64 points, settle.

    Args:
        contenders: ``published``, ``plain`` and ``fast``.
        folder: with the steps that were measured before.
        per_side: points of the grid, in a row.
        most_foreign: in a step that counts; it is tried again a few times.

    Returns:
        ``steps``: of each, seconds of all that took part, foreign rounds and memory.

    Raises:
        SystemExit: a step never met a quiet machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = -(-(per_side**2) // POINTS_PER_BATCH)
    steps = ["encode", *(f"batch-{index:03}" for index in range(count)), "settle"]
    with ExitStack() as stack:
        missing = [step for step in steps if not (folder / f"{step}.json").exists()]
        workers = {
            name: stack.enter_context(Worker(each)) for name, each in contenders.items() if missing
        }
        foreign = ForeignLoad(workers.values())
        for worker in workers.values() if missing else ():
            worker.seconds({"step": "encode"})  # later steps need it, and it warms up
        for step in missing:
            measured = _measured(step, workers, folder, foreign, most_foreign)
            atomic.write_bytes(folder / f"{step}.json", json.dumps(measured).encode())
            print(f"{folder.name}: {step} {measured['seconds']}", file=sys.stderr)
    return {"steps": [json.loads((folder / f"{step}.json").read_text()) for step in steps]}


def _measured(
    step: str,
    workers: Mapping[str, Worker],
    folder: Path,
    foreign: ForeignLoad,
    most_foreign: float,
) -> dict[str, Any]:
    asked = {"step": step, "folder": str(folder)}
    taking_part = ("published", *OUR_PATHS) if step.startswith("batch") else ("published",)
    calls = {
        name: partial(
            workers[name].seconds,
            asked,
            save=folder / f"{step}.npz" if name == "published" else None,
        )
        for name in taking_part
    }
    found = in_turns(calls, 1, foreign, most_foreign)
    if not found.kept:
        raise SystemExit(
            f"no quiet round for {step}: go on when the machine has nothing else to do"
        )
    told = workers["published"]
    return {
        "step": step,
        "seconds": found.kept[0],
        "discarded": found.discarded,
        "faults": told.last["faults"],
        "ready_mb": told.ready["ready_mb"],
        "peak_mb": told.last["peak_mb"],
    }


def table(runs: Mapping[str, Mapping[str, Any]], whole: Mapping[str, Mapping[str, float]]) -> str:
    """The runs as Markdown.

    Args:
        runs: by the allocator's setting, from :func:`measure_steps`.
        whole: likewise, median seconds of a whole run by our paths.
    """
    lines = [
        "| the published algorithm, memory of the allocator | encode | calls of 64 points | settle "
        "| all | as many times plain | fast | plain on the same points | fast | discarded "
        "| ready | peak above it | page faults |",
        "|---|" + "---|" * 12,
    ]
    return "\n".join(
        lines + [_line(name, run["steps"], whole.get(name, {})) for name, run in runs.items()]
    )


def _line(allocator: str, steps: Sequence[Mapping[str, Any]], whole: Mapping[str, float]) -> str:
    spent = [step["seconds"]["published"] for step in steps]
    calls = [step["seconds"] for step in steps[1:-1]]
    ready, peak = steps[0]["ready_mb"], max(step["peak_mb"] for step in steps)
    ratios = [
        float(np.median([each["published"] / each[path] for each in calls])) for path in OUR_PATHS
    ]
    cells = (
        allocator,
        duration(spent[0]),
        f"{len(calls)} x {duration(float(np.median(spent[1:-1])))}",
        duration(spent[-1]),
        duration(sum(spent)),
        *(f"{sum(spent) / whole[path]:.1f}" if path in whole else "" for path in OUR_PATHS),
        *(f"{ratio:.1f}" for ratio in ratios),
        str(sum(step["discarded"] for step in steps)),
        f"{ready} MB",
        f"{peak - ready} MB",
        str(sum(step["faults"] for step in steps)),
    )
    return f"| {' | '.join(cells)} |"
