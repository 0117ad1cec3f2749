"""How the benchmarks of speed measure: contenders in processes of their own, that take turns.

Each contender is a process that gets ready and then waits. A round asks one after the other, A B C,
A B C, so whatever makes the machine slower meets all of them; a waiting process computes nothing,
so two pools of threads never compete. Heaps are not shared, each process has its own allocator
settings, and the peak of its memory is its own. A round in which other programs took more than a
twentieth of the processors' time is discarded and counted.

Not for what is measured (``engines.py``, ``peers.py`` and the scripts), nor for the other end of
the conversation (``contender.py``).
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from results import row
from tqdm import tqdm

THREADS = 2
OUR_PATHS = ("plain", "fast")
MOST_FOREIGN = 0.05  # of all processors' time, in a round that counts
TRIES = 3  # times the rounds that are wanted, then it is given up
LEAST_SECONDS = 0.3  # of a turn: short calls are repeated, and their median counts
# glibc gives blocks of more than 32 MB back to the system and faults them in again; "kept" does not
ALLOCATORS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "kept": {
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
        "MALLOC_MMAP_THRESHOLD_": str(2**32),
    },
}


# Two files of results to their largest difference; None where they cannot be compared.
Differ = Callable[[Path, Path], float | None]
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Contender:
    """A row of a table.

    Attributes:
        name: of it.
        command: script and arguments of its process, which calls ``contender.serve``.
        allocator: a key of ``ALLOCATORS``.
        flops: of a call, as the published modules compute it; None where nobody has counted.
    """

    name: str
    command: tuple[str, ...]
    allocator: str = "default"
    flops: float | None = None


@dataclass(frozen=True, eq=False)
class Times:
    """What rounds gave.

    Attributes:
        kept: seconds of each contender, a dict a round.
        discarded: rounds with too much foreign load.
    """

    kept: list[dict[str, float]] = field(default_factory=list)
    discarded: int = 0


class Worker:
    """The other end of ``contender.serve``: the process of a contender."""

    def __init__(self, contender: Contender) -> None:
        kept = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
        threads = {f"{pool}_NUM_THREADS": str(THREADS) for pool in ("OMP", "MKL", "NUMBA")}
        self.contender = contender
        self.process = subprocess.Popen(  # noqa: S603 - our own scripts
            [sys.executable, *contender.command],
            env={**kept, **threads, **ALLOCATORS[contender.allocator]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.last: dict[str, Any] = {}

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.process.stdin.closed:  # type: ignore[union-attr]
            self.process.communicate()

    @cached_property
    def ready(self) -> dict[str, Any]:
        """What it says when it is ready; it gets ready while others do."""
        return self._answer()

    @property
    def absent(self) -> str:
        """Why it cannot run here; empty if it can."""
        return str(self.ready.get("absent", ""))

    def seconds(
        self, argument: Mapping[str, str] = NOTHING, *, times: int = 1, save: Path | None = None
    ) -> float:
        """Median seconds of so many calls."""
        if self.absent:
            raise RuntimeError(f"{self.contender.name} is absent: {self.absent}")
        asked = {"argument": dict(argument), "times": times, "save": str(save or "")}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        self.last = self._answer()
        return float(self.last["seconds"])

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            self.process.communicate()
            raise RuntimeError(f"{self.contender.name} ended: its message is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


class ForeignLoad:
    """The share of all processors' time that programs other than ours took since the last call."""

    def __init__(self, workers: Iterable[Worker] = ()) -> None:
        self._ours = [psutil.Process(), *(psutil.Process(each.process.pid) for each in workers)]
        self._before = self._now()

    def __call__(self) -> float:
        """The share, 0 to 1."""
        before, self._before = self._before, self._now()
        every, busy, ours = (now - then for now, then in zip(self._before, before, strict=True))
        return max(0.0, busy - ours) / max(every, 1e-9)

    def _now(self) -> tuple[float, float, float]:
        """Seconds of all processors: in all, busy, and busy for us and what we have ended."""
        machine = psutil.cpu_times()
        # a guest's time is in the user's; waiting for the disk leaves the processor free
        counted = ("user", "nice", "system", "irq", "softirq", "steal")
        busy = sum(getattr(machine, name, 0.0) for name in counted)
        ours = sum(sum(process.cpu_times()[:4]) for process in self._ours)
        return busy + machine.idle + getattr(machine, "iowait", 0.0), busy, ours


def in_turns(
    calls: Mapping[str, Callable[[], float]],
    rounds: int,
    foreign: Callable[[], float],
    most_foreign: float = MOST_FOREIGN,
) -> Times:
    """Rounds in which each is called once, in this order.

    Args:
        calls: by name; each returns its seconds.
        rounds: that are kept; fewer if the machine never is quiet.
        foreign: the load of others since it was last asked.
        most_foreign: in a round that counts.
    """
    kept: list[dict[str, float]] = []
    discarded = 0
    with tqdm(total=rounds, unit="round", leave=False) as bar:
        while len(kept) < rounds and discarded < TRIES * rounds:
            foreign()
            measured = {name: call() for name, call in calls.items()}
            if foreign() > most_foreign:
                discarded += 1
            else:
                kept.append(measured)
                bar.update()
    return Times(kept, discarded)


def measure(
    case: str,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    most_foreign: float = MOST_FOREIGN,
    differ: Differ | None = None,
) -> dict[str, Any]:
    """All contenders against the first, equality first.

    Args:
        case: what is measured, in words.
        contenders: what they are compared with comes first.
        rounds: that are kept.
        most_foreign: in a round that counts.
        differ: tells the largest difference of two files of results; None: :func:`difference`.

    Returns:
        ``case``, ``date``, ``rounds``, ``discarded``, and ``rows``: one a contender, the absent
        ones, too.
    """
    with ExitStack() as stack, TemporaryDirectory() as folder:
        every = [stack.enter_context(Worker(each)) for each in contenders]
        workers = {key(each.contender): each for each in every if not each.absent}
        outputs = {name: Path(folder) / f"{at}.npz" for at, name in enumerate(workers)}
        times = {name: _warm(worker, outputs[name]) for name, worker in workers.items()}
        first, *_ = outputs.values()
        differences = {name: (differ or difference)(first, path) for name, path in outputs.items()}
        print(f"{case}: {_equality(differences)}", file=sys.stderr)
        calls = {
            name: lambda worker=worker, name=name: worker.seconds(times=times[name])
            for name, worker in workers.items()
        }
        found = in_turns(calls, rounds, ForeignLoad(workers.values()), most_foreign)
    rows = [
        row(
            asdict(worker.contender) | worker.ready | worker.last,
            [each.get(key(worker.contender)) for each in found.kept],
            [each[key(contenders[0])] for each in found.kept],
        )
        | {"difference": differences.get(key(worker.contender))}
        for worker in every
    ]
    return {
        "case": case,
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": len(found.kept),
        "discarded": found.discarded,
        "rows": rows,
    }


def key(contender: Contender) -> str:
    """What tells a contender from the others."""
    return f"{contender.name}, {contender.allocator}"


def _warm(worker: Worker, save: Path) -> int:
    """Two calls; then how many calls a turn should have."""
    worker.seconds(save=save)
    return max(1, math.ceil(LEAST_SECONDS / max(worker.seconds(), 1e-4)))


def difference(left: Path, right: Path) -> float | None:
    """The largest of all arrays that both have and whose shapes agree; None if there is none."""
    with np.load(left) as ours, np.load(right) as theirs:
        largest = [
            float(np.abs(ours[name] - theirs[name]).max(initial=0))
            for name in ours.keys() & theirs.keys()
            if ours[name].shape == theirs[name].shape
        ]
    return max(largest, default=None)


def _equality(differences: Mapping[str, float | None]) -> str:
    told = (f"{name} {each:.1e}" for name, each in differences.items() if each is not None)
    return f"largest difference from the first: {'; '.join(told)}"
