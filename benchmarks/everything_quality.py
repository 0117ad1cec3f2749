"""How good everything mode's masks are, and what its settings cost: AR@1000 on real objects.

    python benchmarks/everything_quality.py             measure (ten minutes), resumable
    python benchmarks/everything_quality.py --table     print the committed results

Nine test images of the sample data: 70 objects and a crowd. Settings take turns image by image, so
that their seconds compare, on a machine that does nothing else. Every image is a line in a work
file; a run that was stopped goes on there.
"""

import argparse
import csv
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from results import REFERENCE, WORK
from tqdm import tqdm

from samphire import atomic
from samphire.arrays import BoolArray
from samphire.evaluation.recall import Recall, average_recall, recall
from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.overlap import iou, mask_nms
from samphire.masks.rle import from_coco
from samphire.predict.everything import best_first
from samphire.predict.everything_settings import PRESETS, EverythingSettings, as_json

RESULTS = REFERENCE / "everything-quality.json"
# What default finds, with a last step more: its masks are taken, and that step is timed. A step
# whose numbers change needs another name, for work files know it by that.
LAST_STEPS = {
    "default, no duplicates": (0.9, None),
    "default, no parts": (0.9, 0.9),
}
DUPLICATE = 0.9

Segment = Callable[[Path, EverythingSettings], Masks]
# What the work file holds: of a run's key, a line for each row of the table that it gives.
Lines = dict[tuple[str, str], list[dict[str, Any]]]


@dataclass(frozen=True)
class Run:
    """One image with one setting.

    Attributes:
        name: of the preset.
        settings: of it.
        model: a name that ``samphire.load`` knows.
        image: COCO's record.
    """

    name: str
    settings: EverythingSettings
    model: str
    image: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What the masks depend on: settings with model, and image."""
        return identity(self.settings, self.model), self.image["file_name"]

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of the table that it gives."""
        return (self.name, *LAST_STEPS) if self.name == "default" else (self.name,)

    def is_in(self, known: Lines) -> bool:
        """Whether the work file has all of it."""
        return set(self.rows) <= {line["name"] for line in known.get(self.key, [])}


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SAMPHIRE_DATA"))
    parser.add_argument("--work", type=Path, default=WORK / "everything-quality.jsonl")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--model", default="vit_t")
    parser.add_argument("--presets", default=",".join(PRESETS), help="names, with commas between")
    parser.add_argument("--limit", type=int, help="measure the first so many images only")
    parser.add_argument("--table", action="store_true", help="print the committed results")
    given = parser.parse_args()
    if given.table:
        if not given.results.exists():
            parser.error(f"{given.results} is missing: measure first, without --table")
        print(table(json.loads(given.results.read_text())))
        return
    names = given.presets.split(",")
    if not set(names) <= PRESETS.keys():
        parser.error(f"--presets {given.presets}: expected some of {', '.join(PRESETS)}")
    if given.data is None:
        parser.error("give --data FOLDER, the sample data")
    if (len(names), given.limit) != (len(PRESETS), None) and given.results == RESULTS:
        parser.error("a part of the measurement is not the committed one: give --results FILE")
    folder = given.data / "objects"
    images = test_images(folder)[: given.limit]
    runs = [Run(name, PRESETS[name], given.model, image) for image in images for name in names]
    lines = measure(runs, folder, given.work, partial(loaded, given.model))
    results = summary(lines, given.model) | {"command": command(given)}
    atomic.write_bytes(given.results, json.dumps(results, indent=1).encode() + b"\n")
    print(table(results))


def command(given: argparse.Namespace) -> str:
    """What to type for the same, without the places of this machine."""
    limit = "" if given.limit is None else f" --limit {given.limit}"
    return f"python {Path(__file__).name} --model {given.model} --presets {given.presets}{limit}"


def measure(
    runs: list[Run], folder: Path, work: Path, load: Callable[[], Segment]
) -> list[dict[str, Any]]:
    """The lines of all runs; those in the work file are not made again.

    Args:
        runs: in this order.
        folder: with ``instances.json`` and ``images/``.
        work: the work file; there may be one of a measurement that was stopped.
        load: gives what segments; called if there is something to measure.
    """
    known = read_lines(work)
    missing = [run for run in runs if not run.is_in(known)]
    if missing:
        segment = load()
        for run in tqdm(missing, unit="run"):
            known[run.key] = lines_of(run, folder, segment)
            append(work, known[run.key])
    return [line for run in runs for line in known[run.key] if line["name"] in run.rows]


def loaded(model: str) -> Segment:
    """Everything mode with a model."""
    import samphire  # noqa: PLC0415 - the table needs no model

    return partial(samphire.segment_everything, samphire.load(model, device="cpu"))


def lines_of(run: Run, folder: Path, segment: Segment) -> list[dict[str, Any]]:
    """One run, measured: a line for each of its rows."""
    started = time.perf_counter()
    masks = segment(folder / "images" / run.image["file_name"], run.settings)
    seconds = time.perf_counter() - started
    truth, crowd = truth_of(folder, run.image)
    settings, image = run.key
    made = [
        with_last_step(masks, seconds, row) if row in LAST_STEPS else (masks, seconds)
        for row in run.rows
    ]
    return [
        {"name": row, "settings": settings, "image": image}
        | line_of(found, recall(found, truth, crowd), spent)
        for row, (found, spent) in zip(run.rows, made, strict=True)
    ]


def read_lines(work: Path) -> Lines:
    """What the work file holds; a last line that a kill cut off is removed."""
    if not work.exists():
        return {}
    whole, _, cut = work.read_bytes().rpartition(b"\n")
    if cut:
        atomic.write_bytes(work, whole + b"\n" if whole else b"")
    lists = [json.loads(line) for line in whole.splitlines()]
    return {(lines[0]["settings"], lines[0]["image"]): lines for lines in lists}


def append(work: Path, lines: list[dict[str, Any]]) -> None:
    """Write a line and wait until it is on the disk."""
    work.parent.mkdir(parents=True, exist_ok=True)
    with work.open("a") as file:
        file.write(json.dumps(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())


def with_last_step(masks: Masks, seconds: float, name: str) -> tuple[Masks, float]:
    """The masks without those that a better one nearly equals, or holds."""
    started = time.perf_counter()
    most, contained = LAST_STEPS[name]
    kept = mask_nms(masks, best_first(masks), most, max_containment=contained)
    return masks[kept], seconds + time.perf_counter() - started


def test_images(folder: Path) -> list[dict[str, Any]]:
    """COCO's records of the images of the test split."""
    document = json.loads((folder / "instances.json").read_text())
    with (folder / "split.csv").open(newline="") as file:
        wanted = {Path(row["image"]).name for row in csv.DictReader(file) if row["split"] == "test"}
    return [image for image in document["images"] if Path(image["file_name"]).name in wanted]


def truth_of(folder: Path, image: dict[str, Any]) -> tuple[Masks, BoolArray]:
    """The true objects of an image, and which of them are crowds."""
    document = json.loads((folder / "instances.json").read_text())
    found = [each for each in document["annotations"] if each["image_id"] == image["id"]]
    size = Size(image["height"], image["width"])
    masks = Masks.from_image_runs(
        size, (from_coco(each["segmentation"]["counts"]) for each in found)
    )
    return masks, np.array([each["iscrowd"] for each in found], np.bool_)


def identity(settings: EverythingSettings, model: str) -> str:
    """A short id of all that the masks depend on."""
    text = json.dumps([as_json(settings), model], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def line_of(masks: Masks, found: Recall, seconds: float) -> dict[str, Any]:
    """What is kept of one image."""
    return {
        "found": found.found.tolist(),
        "truths": found.truths.tolist(),
        "masks": len(masks),
        "duplicates": duplicates(masks),
        "seconds": round(seconds, 2),
    }


def duplicates(masks: Masks) -> int:
    """Masks that an earlier one nearly equals.

    >>> duplicates(Masks.from_arrays(np.ones((3, 4, 4))))
    2
    """
    overlap = iou(masks, masks)
    return int((np.triu(overlap, 1) >= DUPLICATE).any(axis=0).sum())


def summary(lines: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """A row a setting, and where it was measured."""
    names = ("fast", "default", *LAST_STEPS, "thorough")
    measured = [(name, [line for line in lines if line["name"] == name]) for name in names]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "model": model,
        "machine": machine(),
        "rows": [row_of(name, own) for name, own in measured if own],
    }


def row_of(name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """All images of one setting; None where there is no object of a size."""
    found = average_recall(
        [Recall(np.array(line["found"]), np.array(line["truths"])) for line in lines]
    )
    recalls = {"ar": found.all, "small": found.small, "medium": found.medium, "large": found.large}
    return {
        "settings": name,
        **{size: None if math.isnan(share) else round(share, 4) for size, share in recalls.items()},
        "masks": float(np.mean([line["masks"] for line in lines])),
        "duplicates": float(np.mean([line["duplicates"] for line in lines])),
        "seconds": float(np.median([line["seconds"] for line in lines])),
        "seconds_least": min(line["seconds"] for line in lines),
        "images": len(lines),
        "objects": found.truths,
    }


def machine() -> dict[str, str | int]:
    """What the seconds depend on."""
    import torch  # noqa: PLC0415 - the table needs none

    told = Path("/proc/cpuinfo")
    facts = told.read_text().splitlines() if told.exists() else []
    models = [line.partition(":")[2].strip() for line in facts if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("samphire", "torch", "numpy")},
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| settings | AR@1000 | small | medium | large | masks an image | duplicates an image "
        "| seconds an image, median (least) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        shares = (row[size] for size in ("ar", "small", "medium", "large"))
        recalls = " | ".join("none" if share is None else f"{share:.3f}" for share in shares)
        lines.append(
            f"| {row['settings']} | {recalls} | {row['masks']:.1f} | {row['duplicates']:.1f} "
            f"| {row['seconds']:.0f} ({row['seconds_least']:.0f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
