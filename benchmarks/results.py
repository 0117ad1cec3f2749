"""What was measured, as JSON, and as the Markdown that the documentation shows."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from samphire import atomic

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
WORK = ROOT / ".benchmarks"  # not .cache: `zensical build --clean` empties that
# Products that show what the machine can do, and the FLOPs of one.
PRODUCTS = {"torch.mm": 2.0 * 2048**3, "packed product": 2.0 * 4096 * 768 * 3072}
PACKAGES = (
    "samphire",
    "torch",
    "numpy",
    "numba",
    "transformers",
    "onnxruntime",
    "openvino",
    "segment-anything",
)


def row(
    facts: Mapping[str, Any], seconds: Sequence[float | None], first: Sequence[float]
) -> dict[str, Any]:
    """One contender's row.

    Args:
        facts: what its process told of itself: ``name``, ``allocator``, ``flops``, and ``absent``,
            or ``runs``, ``ready_mb``, ``peak_mb`` and ``faults``.
        seconds: of a call, one a round; None where it is absent.
        first: the same of the contender that all are compared with, in the same rounds.
    """
    told = ("name", "allocator", "flops", "absent", "runs", "ready_mb", "peak_mb", "faults")
    made = {name: facts[name] for name in told if facts.get(name) is not None}
    measured = np.array([each for each in seconds if each is not None])
    if len(measured):
        ratios = np.array(first) / measured
        made |= {
            "median_seconds": round(float(np.median(measured)), 6),
            "least_seconds": round(float(measured.min()), 6),
            "times_as_fast": round(float(np.median(ratios)), 4),
        }
    return made


def peak_rate(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The best that one of ``PRODUCTS`` reached in these rounds, FLOP/s; None if there is none."""
    rates = [
        each["flops"] / each["least_seconds"]
        for each in rows
        if each["name"] in PRODUCTS and "least_seconds" in each
    ]
    return max(rates, default=None)


def write(path: Path, command: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """Write results, or a part of them: the other parts stay as they were."""
    known = json.loads(path.read_text()) if path.exists() else {}
    facts = {"date": datetime.now(UTC).date().isoformat(), "command": command, "machine": machine()}
    results: dict[str, Any] = {**known, **facts, **part}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(path, json.dumps(results, indent=1).encode() + b"\n")
    return results


def machine() -> dict[str, Any]:
    """What the seconds depend on."""
    told = Path("/proc/cpuinfo")
    facts = told.read_text().splitlines() if told.exists() else []
    models = [line.partition(":")[2].strip() for line in facts if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count() or 0,
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def table(cases: Sequence[Mapping[str, Any]]) -> str:
    """Cases, from ``measuring.measure``, as Markdown: a table each."""
    return "\n\n".join(_table_of(case) for case in cases)


def _table_of(case: Mapping[str, Any]) -> str:
    rows = case["rows"]
    first, rate = rows[0]["name"], peak_rate(rows)
    lines = [
        f"{case['case']}: {case['rounds']} rounds"
        + (f", {case['discarded']} discarded" if case["discarded"] else ""),
        "",
        f"| | memory of the allocator | median | least | times as fast as {first} | GFLOP/s "
        "| of the machine's best | largest difference | ready | peak above it | page faults |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(each, rate) for each in rows])


def _line(each: Mapping[str, Any], peak: float | None) -> str:
    name = each["name"]
    if each.get("runs") and each["runs"] != name:
        name += f" ({each['runs']})"
    if "absent" in each:
        return f"| {name} | absent: {each['absent']} |" + " |" * 9
    if "median_seconds" not in each:
        return f"| {name} | {each['allocator']} | no quiet round |" + " |" * 8
    rate = each["flops"] / each["least_seconds"] if each.get("flops") else None
    difference = each.get("difference")
    cells = (
        name,
        each["allocator"],
        duration(each["median_seconds"]),
        duration(each["least_seconds"]),
        "" if each["name"] in PRODUCTS else f"{each['times_as_fast']:.2f}",
        "" if rate is None else f"{rate / 1e9:.0f}",
        "" if rate is None or peak is None else f"{rate / peak:.0%}",
        "" if difference is None else f"{difference:.1e}",
        f"{each['ready_mb']} MB",
        f"{each['peak_mb'] - each['ready_mb']} MB",
        str(each["faults"]),
    )
    return f"| {' | '.join(cells)} |"


def duration(seconds: float) -> str:
    """Three digits, in the unit that people use.

    >>> duration(0.0213), duration(5.57), duration(151.4)
    ('21.3 ms', '5.57 s', '151 s')
    """
    value, unit = (seconds * 1000, "ms") if seconds < 1 else (seconds, "s")
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(max(value, 1e-3)))))}f} {unit}"
