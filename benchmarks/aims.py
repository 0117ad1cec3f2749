"""What was aimed at, beside what the committed results say.

    python benchmarks/aims.py       prints the table of docs/reference/speed.md; measures nothing

Rows are of the default settings of the allocator, unless a row says otherwise. How many times as
fast is told twice, by the median over rounds and by the least times: the smaller counts. What has
no committed result is "not measured".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from results import REFERENCE, peak_rate


class MissingError(Exception):
    """There is no committed result."""


@dataclass(frozen=True)
class Aim:
    """A line of the table.

    Attributes:
        work: what is measured.
        aim: the figure, in words.
        measured: gives the figure that was measured.
        told: that figure in words.
        met: whether it is good enough.
    """

    work: str
    aim: str
    measured: Callable[[], float]
    told: Callable[[float], str]
    met: Callable[[float], bool]


def main() -> None:
    """Print the table."""
    print(table())


def table() -> str:
    """All aims as Markdown."""
    lines = ["| work | aim | measured | met |", "|---|---|---|---|"]
    return "\n".join(lines + [_line(aim) for aim in AIMS])


def _line(aim: Aim) -> str:
    try:
        figure = aim.measured()
    except MissingError:
        return f"| {aim.work} | {aim.aim} | not measured | |"
    met = "yes" if aim.met(figure) else "no"
    return f"| {aim.work} | {aim.aim} | {aim.told(figure)} | {met} |"


def _results(name: str) -> dict[str, Any]:
    path = REFERENCE / f"{name}.json"
    if not path.exists():
        raise MissingError(name)
    known: dict[str, Any] = json.loads(path.read_text())
    return known


def _case(name: str, case: str) -> Mapping[str, Any]:
    results = _results(name)
    if case not in results:
        raise MissingError(case)
    found: Mapping[str, Any] = results[case]
    return found


def _row(name: str, case: str, contender: str, allocator: str = "default") -> Mapping[str, Any]:
    for row in _case(name, case)["rows"]:
        if (row["name"], row["allocator"]) == (contender, allocator) and "median_seconds" in row:
            found: Mapping[str, Any] = row
            return found
    raise MissingError(contender)


def _faster(name: str, case: str, slow: str, allocator: str = "default") -> Callable[[], float]:
    """How many times as fast as another row the fast one is."""

    def ratio() -> float:
        slower, fast = (_row(name, case, row, allocator) for row in (slow, "fast"))
        by_rounds = fast["times_as_fast"] / slower["times_as_fast"]
        return float(min(by_rounds, slower["least_seconds"] / fast["least_seconds"]))

    return ratio


def _share_of_peak() -> float:
    """Of the best product of matrices in the same rounds."""
    best = peak_rate(_case("encoder", "vit_b")["rows"])
    row = _row("encoder", "vit_b", "fast")
    return float(row["flops"] / row["least_seconds"]) / (best or float("inf"))


def _peak_gb(name: str, case: str) -> Callable[[], float]:
    return lambda: float(_row(name, case, "fast")["peak_mb"]) / 1000


def _extra_gb() -> float:
    row = _row("clicks", "64", "fast")
    return float(row["peak_mb"] - row["ready_mb"]) / 1000


def _level() -> float:
    """The quicker of two others by the fast path."""
    return min(_faster("encoder", "vit_t", name)() for name in ("onnxruntime", "openvino"))


def _published(allocator: str) -> Callable[[], float]:
    """Seconds of the published algorithm, all steps, by those of the fast path."""

    def ratio() -> float:
        runs = _case("everything", "published")
        if allocator not in runs:
            raise MissingError(allocator)
        spent = sum(step["seconds"]["published"] for step in runs[allocator]["steps"])
        fast = _row("everything", "default", "fast", allocator)
        return float(spent / fast["median_seconds"])

    return ratio


def _preset() -> float:
    default, fast = (_row("everything", preset, "fast") for preset in ("default", "fast"))
    return float(default["median_seconds"] / fast["median_seconds"])


def _points_lost() -> float:
    found = {row["settings"]: row["ar"] for row in _results("everything-quality")["rows"]}
    return 100 * float(found["default"] - found["fast"])


def _start() -> float:
    return float(_results("start")["ratio"])


def _times(figure: float) -> str:
    return f"{figure:.2f} times"


def _gigabytes(figure: float) -> str:
    return f"{figure:.2f} GB"


def _at_least(least: float) -> Callable[[float], bool]:
    return lambda figure: figure >= least


def _at_most(most: float) -> Callable[[float], bool]:
    return lambda figure: figure <= most


def _percent(figure: float) -> str:
    return f"{figure:.0%}"


def _points(figure: float) -> str:
    return f"{figure:.1f} points"


B, T, CLICK = "encode, ViT-B", "encode, `vit_t`", "one click"
MANY, ALL, QUICK = (
    "64 clicks in one call",
    "everything, 32 x 32, `vit_t`",
    "everything, preset `fast`",
)
AIMS = (
    Aim(B, "2.7 times plain", _faster("encoder", "vit_b", "plain"), _times, _at_least(2.7)),
    Aim(
        B,
        "1.8 times `transformers`",
        _faster("encoder", "vit_b", "transformers"),
        _times,
        _at_least(1.8),
    ),
    Aim(B, "75 % of the machine's best", _share_of_peak, _percent, _at_least(0.75)),
    Aim(B, "1.3 GB at the peak", _peak_gb("encoder", "vit_b"), _gigabytes, _at_most(1.3)),
    Aim(T, "level with ONNX Runtime and OpenVINO", _level, _times, _at_least(1)),
    Aim(CLICK, "twice ONNX Runtime", _faster("clicks", "1", "onnxruntime"), _times, _at_least(2)),
    Aim(
        MANY,
        "3.4 times plain, memory kept",
        _faster("clicks", "64", "plain", "kept"),
        _times,
        _at_least(3.4),
    ),
    Aim(
        MANY,
        "7 times `transformers`, which takes all at once as published",
        _faster("clicks", "64", "transformers"),
        _times,
        _at_least(7),
    ),
    Aim(MANY, "0.6 GB more memory", _extra_gb, _gigabytes, _at_most(0.6)),
    Aim(ALL, "5 times published, memory kept", _published("kept"), _times, _at_least(5)),
    Aim(ALL, "8 times published", _published("default"), _times, _at_least(8)),
    Aim(ALL, "1 GB at the peak", _peak_gb("everything", "default"), _gigabytes, _at_most(1)),
    Aim(QUICK, "3 times the default", _preset, _times, _at_least(3)),
    Aim(QUICK, "2 points of AR@1000 lost", _points_lost, _points, _at_most(2)),
    Aim("shell to saved mask", "1.1 times its parts", _start, _times, _at_most(1.1)),
)


if __name__ == "__main__":
    main()
