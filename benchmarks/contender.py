"""A contender's process: it gets ready, answers requests, and tells seconds and memory.

The other end is ``measuring.Worker``: a request is a line of JSON, and so is an answer.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Argument = dict[str, str]
Result = dict[str, npt.NDArray[Any]]


class AbsentError(Exception):
    """A contender cannot run here; why, in words."""


@dataclass(frozen=True)
class Runner:
    """What a contender's process does.

    Attributes:
        call: the work, timed; it gets the argument of the request.
        runs: what computes, in words.
    """

    call: Callable[[Argument], Result]
    runs: str


def serve(make: Callable[[], Runner]) -> None:
    """A contender's process: get ready, then answer a request a line until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        runner = make()
    except (AbsentError, ImportError) as error:
        print(json.dumps({"absent": str(error)}), file=answers)
        return
    print(json.dumps({"runs": runner.runs, "ready_mb": memory_mb("VmRSS")}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        seconds = []
        for _ in range(request["times"]):
            result: Result = {}  # so that the last one is not held meanwhile
            started = time.perf_counter()
            result = runner.call(request["argument"])
            seconds.append(time.perf_counter() - started)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        if request["save"]:
            np.savez(request["save"], **result)
        answer = {
            "seconds": float(np.median(seconds)),
            "faults": faults // len(seconds),
            "peak_mb": memory_mb("VmHWM"),
        }
        print(json.dumps(answer), file=answers)


def memory_mb(which: str) -> int:
    """``VmRSS``, resident now, or ``VmHWM``, its peak, of this process.

    ``ru_maxrss`` is the peak, too, but a process that was started by a larger one inherits the
    larger one's; so it is asked only where the system does not tell the other.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6
    lines = (line.split() for line in status.read_text().splitlines())
    return next(int(line[1]) * 1024 // 10**6 for line in lines if line[0] == f"{which}:")
