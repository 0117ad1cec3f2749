"""What tuning gains, and what it costs: Dice before and after, seconds, memory, file size.

    python benchmarks/tuning.py                      every run (hours on two cores), resumable
    python benchmarks/tuning.py polyps-semantic      those whose names begin so
    python benchmarks/tuning.py --cost               speed and memory of late placement and caching
    python benchmarks/tuning.py --table              print the committed results

Seeded. Each run is a process of its own, so that its peak memory is its own, and goes on where it
was stopped. Test splits are measured once, at the end of a run; the settings below were chosen on
validation splits.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from results import REFERENCE, WORK

from samphire import atomic

RESULTS = REFERENCE / "tuning.json"
LATE, LATER = "last:2", "last:4"
Methods = Mapping[str, Mapping[str, Any]]
PROMPTS: Methods = {
    "decoder": {"name": "decoder"},
    "lora": {"name": "lora", "blocks": LATE},
    "adapter": {"name": "adapter", "blocks": LATE},
}
# Without prompts, queries and values of two blocks alone learn too little: 0.65 against 0.70 on the
# validation split of polyps.
WIDE = {"name": "lora", "rank": 16, "alpha": 16, "targets": ["q", "v", "proj", "mlp"]}
CLASSES: Methods = {**PROMPTS, "lora": {**WIDE, "blocks": LATE}}
# How much depends on where LoRA is; polyps alone, as it takes half an hour.
PLACES: Methods = {"lora-last-4": {**WIDE, "blocks": LATER}, "lora-everywhere": WIDE}
MOST_SLICES = 8
# A step on one picture: the method, and whether what the frozen part gives is kept.
KINDS = {
    "decoder, cached": ("decoder", True),
    "decoder, encoder each time": ("decoder", False),
    f"lora {LATE}, cached": ("lora", True),
    f"lora {LATER}, cached": ("lora-last-4", True),
    f"adapter {LATE}, cached": ("adapter", True),
    "lora everywhere": ("lora-everywhere", False),
}


@dataclass(frozen=True)
class Task:
    """What is learned from which data.

    Attributes:
        data: folder in the sample data.
        settings: as ``make_settings`` takes them, the method apart.
        model: the base.
        methods: by name, as ``make_settings`` takes them.
        classes: of a semantic task.
    """

    data: str
    settings: Mapping[str, Any]
    model: str = "vit_t"
    methods: Methods = field(default_factory=lambda: PROMPTS)
    classes: tuple[str, ...] = field(default=())


TASKS = {
    "polyps-semantic": Task(
        "medical/polyps",
        {"task": "semantic", "epochs": 14, "batch_size": 2},
        methods={**CLASSES, **PLACES},
        classes=("polyp",),
    ),
    "polyps-interactive": Task("medical/polyps", {"epochs": 8, "batch_size": 2}),
    "nuclei-interactive": Task("microscopy/nuclei", {"epochs": 5, "batch_size": 2}),
    "vessels-semantic": Task(
        "medical/fundus_vessels",
        {"task": "semantic", "epochs": 20, "batch_size": 2},
        methods=CLASSES,
        classes=("vessel",),
    ),
    "hippocampus-box": Task(
        "medical/hippocampus", {"epochs": 3, "batch_size": 4}, model="lite_medsam"
    ),
}


def main() -> None:
    """Run what was asked for, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of names of runs")
    parser.add_argument("--data", type=Path, default=os.environ.get("SAMPHIRE_DATA"))
    parser.add_argument("--work", type=Path, default=WORK / "tuning")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--cost", action="store_true", help="measure speed and memory instead")
    parser.add_argument("--table", action="store_true", help="print the committed results")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a run, in this process
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # a kind of step, in this process
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(given.results.read_text())))
        return
    if given.data is None:
        parser.error("give --data FOLDER, the sample data")
    if given.one:
        run_one(given.one, given.data, given.work)
        return
    if given.peak:
        print(peak_of(given.peak, given.data))
        return
    if given.cost:
        merge(given.results, "cost", cost(given.data))
        return
    runs = [f"{task}/{method}" for task, its in TASKS.items() for method in its.methods]
    for name in runs:
        wanted = not given.names or name.startswith(tuple(given.names))
        if wanted and not (given.work / name / "measured.json").exists():
            print(f"{name}", file=sys.stderr)
            alone("--one", name, "--work", str(given.work), "--data", str(given.data))
    known = json.loads(given.results.read_text())["runs"] if given.results.exists() else []
    merge(given.results, "runs", gathered(runs, given.work, known))
    print(table(json.loads(given.results.read_text())))


def merge(path: Path, part: str, measured: Any) -> None:  # noqa: ANN401 - what JSON takes
    """Write a part of the results, and on what it was measured; the other parts stay."""
    known = json.loads(path.read_text()) if path.exists() else {}
    machines = known.get("machine", {}) | {part: machine()}
    text = json.dumps({**known, part: measured, "machine": machines}, indent=1)
    atomic.write_bytes(path, text.encode() + b"\n")


def machine() -> dict[str, str]:
    """On what it was measured."""
    import torch  # noqa: PLC0415 - the table needs no model

    return {
        "processor": platform.processor() or platform.machine(),
        "threads": str(torch.get_num_threads()),
        "allocator": " ".join(f"{k}={v}" for k, v in sorted(os.environ.items()) if "MALLOC_" in k),
        "python": platform.python_version(),
        "torch": version("torch"),
        "samphire": version("samphire"),
    }


def run_one(name: str, data: Path, work: Path) -> None:
    """Tune and measure; writes ``measured.json`` into the run's folder."""
    from samphire.cache import Cache  # noqa: PLC0415
    from samphire.engines.load import load  # noqa: PLC0415
    from samphire.evaluation.report import write_cases  # noqa: PLC0415
    from samphire.samples.find import open_data  # noqa: PLC0415
    from samphire.tuning.held_out import measure  # noqa: PLC0415
    from samphire.tuning.log import read_log  # noqa: PLC0415
    from samphire.tuning.loop import ADAPTER, LOG, fit  # noqa: PLC0415
    from samphire.tuning.settings import make_settings  # noqa: PLC0415
    from samphire.weights.adapter_file import load_adapter  # noqa: PLC0415

    task_name, _, method = name.partition("/")
    task = TASKS[task_name]
    settings = make_settings(
        {**task.settings, "classes": list(task.classes), "method": task.methods[method]}
    )
    samples = open_data(data / task.data, classes=task.classes).samples
    if task.model == "lite_medsam":
        samples = fewer_slices(samples)
    train, val, test = (
        tuple(sample for sample in samples if sample.split == split)
        for split in ("train", "val", "test")
    )
    engine = load(task.model, device="cpu")
    folder = work / name
    cache = Cache(work / "tokens", max_bytes=20_000_000_000)
    with Peak() as peak:
        fit(engine, train, val, settings, folder, cache=cache)
    adapter = load_adapter(folder / ADAPTER)
    measured = measure(engine, adapter, test, settings)
    for protocol, (before, after) in measured.items():
        write_cases(folder / f"{protocol}.csv", after)
        if before is not None:
            write_cases(folder / f"{protocol}-before.csv", before)
    log = read_log(folder / LOG)
    steps = [entry["seconds"] for entry in log if "loss" in entry]
    parameters = sum(value.numel() for value in adapter.tensors.values())
    record = {
        "name": name,
        "settings": {**task.settings, "method": task.methods[method]},
        "samples": [len(train), len(val), len(test)],
        "best_epoch": max((e["score"], -e["epoch"]) for e in log if "score" in e)[1] * -1,
        "epochs": max(entry["epoch"] for entry in log),
        "trained_parameters": parameters,
        "file_bytes": (folder / ADAPTER).stat().st_size,
        # a median, so that the first epoch, in which tokens are made, does not count
        "seconds_an_epoch": sorted(steps)[len(steps) // 2]
        * len(steps)
        / len({e["epoch"] for e in log}),
        "peak_bytes": peak.above,
        "protocols": {protocol: cases(pair) for protocol, pair in measured.items()},
    }
    atomic.write_bytes(folder / "measured.json", json.dumps(record).encode())


def fewer_slices(samples: Sequence[Any]) -> tuple[Any, ...]:
    """At most ``MOST_SLICES`` slices of a volume, evenly spread among those with an object."""
    volumes: dict[str, list[Any]] = {}
    for sample in samples:
        if sample.read().objects.area.any():
            volumes.setdefault(sample.volume.name, []).append(sample)
    chosen = []
    for slices in volumes.values():
        step = max(1.0, len(slices) / MOST_SLICES)
        chosen += [slices[int(index * step)] for index in range(min(MOST_SLICES, len(slices)))]
    return tuple(chosen)


def cases(pair: tuple[Any, Any]) -> dict[str, Any]:
    """Dice of each case, before and after, for differences between runs."""
    before, after = pair
    return {
        "cases": [f"{case.id} {case.target}" for case in after.cases],
        "groups": [case.group for case in after.cases],
        "before": None if before is None else [case.agreement.dice for case in before.cases],
        "after": [case.agreement.dice for case in after.cases],
    }


def gathered(
    runs: Sequence[str], work: Path, known: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """What is measured so far, with the paired difference of each run to its base.

    The base of an interactive run is the model without adapter, that of a semantic run the run
    ``decoder`` of the same task: the frozen encoder with the same head and budget. LoRA is also
    compared with LoRA everywhere.

    Args:
        runs: names, in the order of the rows.
        work: folder of the runs.
        known: earlier rows; they stay where ``work`` has nothing newer.
    """
    found = {
        name: json.loads((work / name / "measured.json").read_text())
        for name in runs
        if (work / name / "measured.json").exists()
    }
    rows: list[dict[str, Any]] = []
    for name in runs:
        if name in found:
            rows += rows_of(found[name])
        else:
            rows += [dict(row) for row in known if row["name"] == name]
    classes = {row["name"]: row["each"] for row in rows if "each" in row}
    return [compared(row, classes) if "each" in row else row for row in rows]


def rows_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each way of asking; where classes were learned, with the Dice of each case."""
    from samphire.evaluation.intervals import bootstrap_interval  # noqa: PLC0415

    rows = []
    for protocol, its in record["protocols"].items():
        groups, after = its["groups"], its["after"]
        row = {key: value for key, value in record.items() if key != "protocols"}
        row |= {"protocol": protocol, "cases": len(groups)}
        row["dice"] = asdict(bootstrap_interval(after, groups))
        if protocol == "semantic":
            row |= {"groups": groups, "each": after}
        elif its["before"] is not None:
            row |= difference("base", its["before"], after, groups)
        rows.append(row)
    return rows


def compared(row: Mapping[str, Any], classes: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """A row of classes with its differences; ``classes``: the Dice of each case, by run."""
    name, after, groups = row["name"], row["each"], row["groups"]
    task, _, method = name.partition("/")
    decoder, everywhere = f"{task}/decoder", f"{task}/lora-everywhere"
    made = dict(row)
    if name != decoder and decoder in classes:
        made |= difference("base", classes[decoder], after, groups)
    elif name != decoder:
        print(f"{name} has nothing to compare with: run {decoder}", file=sys.stderr)
    if method.startswith("lora") and name != everywhere and everywhere in classes:
        made |= difference("everywhere", classes[everywhere], after, groups)
    return made


def difference(
    what: str, before: Sequence[float], after: Sequence[float], groups: Sequence[str]
) -> dict[str, Any]:
    """Mean Dice of what a run is compared with, and the paired difference."""
    from samphire.evaluation.intervals import paired_interval  # noqa: PLC0415

    return {
        f"{what}_dice": sum(before) / len(before),
        f"minus_{what}": asdict(paired_interval(before, after, groups)),
    }


def alone(*arguments: str) -> str:
    """This script with other arguments, in a process of its own; what it prints."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def cost(data: Path) -> dict[str, Any]:
    """Seconds and peak memory of a step: interleaved rounds, medians; one picture a step."""
    samples = three_polyps(data)
    steppers = {kind: Stepper(*KINDS[kind]) for kind in KINDS}
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(6):
        for kind, stepper in steppers.items():
            spent = [stepper.step(sample) for sample in samples]
            seconds[kind] += spent if turn else []  # the first round fills caches
    return {
        kind: {
            "median_seconds": sorted(values)[len(values) // 2],
            "least_seconds": min(values),
            "gigaflops": steppers[kind].gigaflops(samples[0]),
            "peak_bytes": int(alone("--peak", kind, "--data", str(data))),
        }
        for kind, values in seconds.items()
    }


def three_polyps(data: Path) -> tuple[Any, ...]:
    """Pictures to step on."""
    from samphire.samples.find import open_data  # noqa: PLC0415

    return open_data(data / "medical/polyps", classes=("polyp",)).samples[:3]


def peak_of(kind: str, data: Path) -> int:
    """Peak memory of steps above what this process had before them.

    What is kept is made before; memory that the encoder freed then would hide what a step takes,
    so it is given back.
    """
    samples = three_polyps(data)
    stepper = Stepper(*KINDS[kind])
    stepper.keep(samples)
    give_back()
    with Peak() as peak:
        for sample in samples:
            stepper.step(sample)
    return peak.above


class Stepper:
    """A step on one picture, alone: forward, backward, optimiser."""

    def __init__(self, method: str, cached: bool) -> None:  # noqa: FBT001
        import tempfile  # noqa: PLC0415

        from samphire.cache import Cache  # noqa: PLC0415
        from samphire.engines.load import load  # noqa: PLC0415
        from samphire.tuning.frozen import FrozenEncoder  # noqa: PLC0415
        from samphire.tuning.learner import Learner  # noqa: PLC0415
        from samphire.tuning.settings import make_settings  # noqa: PLC0415

        common = {"task": "semantic", "classes": ["polyp"], "augment": "none"}
        settings = make_settings({**common, "method": {**CLASSES, **PLACES}[method]})
        engine = load("vit_t", device="cpu")
        adapted = settings.adaptation.apply(engine.module)
        self._folder = tempfile.TemporaryDirectory()
        cache = Cache(Path(self._folder.name)) if cached else None
        self._learner = Learner(
            engine, adapted, FrozenEncoder(adapted, engine.info, cache), settings
        )

    def keep(self, samples: Sequence[Any]) -> None:
        """Run the frozen part of the encoder."""
        for sample in samples:
            self._learner.frozen.tokens(sample.read().image)

    def step(self, sample: Any) -> float:  # noqa: ANN401
        """Seconds of a step."""
        started = time.perf_counter()
        self._learner.step([sample], epoch=0, rate=0.0)
        return time.perf_counter() - started

    def gigaflops(self, sample: Any) -> float:  # noqa: ANN401
        """Floating point operations of a step, after everything is kept that can be."""
        from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

        with FlopCounterMode(display=False) as counter:
            self._learner.step([sample], epoch=0, rate=0.0)
        return counter.get_total_flops() / 1e9


def give_back() -> None:
    """Give freed memory back to the system, where the C library can."""
    import ctypes  # noqa: PLC0415
    import gc  # noqa: PLC0415

    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Peak:
    """Watches the memory of this process while something runs.

    Attributes:
        above: bytes at the peak beyond what there was at the start.
    """

    def __enter__(self) -> "Peak":
        self._process, self._done = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()
        self.above = self._most - self._before

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self._most = max(self._most, self._process.memory_info().rss)


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    return "\n".join([*runs_table(results.get("runs", [])), *cost_table(results.get("cost", {}))])


def runs_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tuning gained, a line each."""
    lines = [
        "| run | asked by | Dice on test (95 %) | base | difference (95 %) "
        "| trained | file | epoch | peak memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {row['protocol']} | {spread(row['dice'])} | "
        f"{number(row.get('base_dice'))} | {spread(row.get('minus_base'), sign='+')} | "
        f"{row['trained_parameters']:,} | {row['file_bytes'] / 1e6:.1f} MB | "
        f"{row['seconds_an_epoch']:.0f} s | {row['peak_bytes'] / 1e6:.0f} MB |"
        for row in rows
    ]
    for row in rows:
        if "minus_everywhere" in row:
            apart = spread(row["minus_everywhere"], sign="+")
            lines += ["", f"- {row['name']} minus LoRA everywhere: {apart}."]
    return lines if rows else []


def cost_table(cost: Mapping[str, Any]) -> list[str]:
    """What a step costs, a line each, and what that comes to."""
    lines = ["", "| a step on one picture | seconds | GFLOP | memory |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {row['median_seconds']:.2f} | {row['gigaflops']:.0f} | "
        f"{row['peak_bytes'] / 1e6:.0f} MB |"
        for name, row in cost.items()
    ]
    return [*lines, "", *ratios(cost)] if cost else []


def ratios(cost: Mapping[str, Any]) -> list[str]:
    """What keeping and late placement gain, from the unrounded figures."""
    each_time, kept = cost["decoder, encoder each time"], cost["decoder, cached"]
    faster = each_time["median_seconds"] / kept["median_seconds"]
    allowed = each_time["gigaflops"] / kept["gigaflops"]
    lines = [
        f"- Kept embeddings, decoder: {faster:.1f} times as fast, {allowed:.1f} times by the "
        f"operations counted: {faster / allowed:.0%} of what they allow.",
    ]
    everywhere = cost["lora everywhere"]
    for late in (LATE, LATER):
        row = cost[f"lora {late}, cached"]
        memory = row["peak_bytes"] / everywhere["peak_bytes"]
        faster = everywhere["median_seconds"] / row["median_seconds"]
        lines.append(
            f"- LoRA {late} with kept tokens against LoRA everywhere: {memory:.0%} of the memory, "
            f"{faster:.1f} times as fast."
        )
    return lines


def spread(interval: Mapping[str, float] | None, sign: str = "") -> str:
    """A mean with its interval."""
    if interval is None:
        return "-"
    mean, low, high = (f"{interval[key]:{sign}.3f}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def number(value: float | None) -> str:
    """A Dice, where there is one."""
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
