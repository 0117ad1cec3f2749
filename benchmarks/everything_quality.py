"""How good everything mode's masks are, and what its settings cost: AR@1000 on real objects.

    python benchmarks/everything_quality.py             measure (an hour on two cores), resumable
    python benchmarks/everything_quality.py --table     print the committed results

Nine test images of the sample data, 71 objects. Settings take turns image by image, so that their
seconds compare. Every image is a line in a work file; a run that was stopped goes on there.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from samphire import atomic
from samphire.evaluation.metrics import Recall, average_recall, recall
from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.overlap import iou, mask_nms
from samphire.masks.rle import from_coco
from samphire.predict.everything import best_first
from samphire.predict.everything_settings import PRESETS, EverythingSettings, as_json

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "reference" / "everything-quality.json"
# What default finds, with a last step more: its masks are taken, and that step is timed.
LAST_STEPS = {
    "default, no duplicates": (0.9, None),
    "default, no parts": (0.9, 0.9),
}
DUPLICATE = 0.9


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SAMPHIRE_DATA"))
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "everything-quality.jsonl")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--model", default="vit_t")
    parser.add_argument("--table", action="store_true", help="print the committed results")
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(given.results.read_text())))
        return
    if given.data is None:
        parser.error("give --data FOLDER, the sample data")
    lines = measure(given.data / "objects", given.model, given.work)
    results = summary(lines, given.model)
    atomic.write_bytes(given.results, json.dumps(results, indent=1).encode() + b"\n")
    print(table(results))


def measure(folder: Path, model: str, work: Path) -> list[dict[str, Any]]:
    """A line for every setting and test image; those in the work file are not made again."""
    import samphire  # noqa: PLC0415 - the table needs no model

    work.parent.mkdir(parents=True, exist_ok=True)
    work.touch()
    lists = map(json.loads, work.open())
    known = {(lines[0]["settings"], lines[0]["image"]): lines for lines in lists}
    engine = samphire.load(model, device="cpu")
    images = test_images(folder)
    for image in tqdm(images, unit="image"):
        path = folder / "images" / image["file_name"]
        wanted = {identity(settings, model) for settings in PRESETS.values()}
        if wanted <= {key for key, name in known if name == image["file_name"]}:
            continue
        truth, crowd = truth_of(folder, image)
        for name, settings in PRESETS.items():
            started = time.perf_counter()
            masks = samphire.segment_everything(engine, path, settings)
            seconds = time.perf_counter() - started
            found = {name: (masks, seconds)}
            if name == "default":
                found |= {step: with_last_step(masks, seconds, step) for step in LAST_STEPS}
            key = identity(settings, model), image["file_name"]
            known[key] = [
                {"name": row, "settings": key[0], "image": key[1]}
                | line_of(made, recall(made, truth, crowd), spent)
                for row, (made, spent) in found.items()
            ]
            with work.open("a") as file:
                file.write(json.dumps(known[key]) + "\n")
    wanted = {identity(settings, model) for settings in PRESETS.values()}
    return [line for (key, _), lines in known.items() if key in wanted for line in lines]


def with_last_step(masks: Masks, seconds: float, name: str) -> tuple[Masks, float]:
    """The masks without those that a better one nearly equals, or holds."""
    started = time.perf_counter()
    most, contained = LAST_STEPS[name]
    kept = mask_nms(masks, best_first(masks), most, max_containment=contained)
    return masks[kept], seconds + time.perf_counter() - started


def test_images(folder: Path) -> list[dict[str, Any]]:
    """COCO's records of the images of the test split."""
    document = json.loads((folder / "instances.json").read_text())
    rows = (line.split(",") for line in (folder / "split.csv").read_text().splitlines()[1:])
    wanted = {Path(row[1]).name for row in rows if row[3] == "test"}
    return [image for image in document["images"] if Path(image["file_name"]).name in wanted]


def truth_of(
    folder: Path, image: dict[str, Any]
) -> tuple[Masks, np.ndarray[Any, np.dtype[np.bool_]]]:
    """The true objects of an image, and which of them are crowds."""
    document = json.loads((folder / "instances.json").read_text())
    found = [each for each in document["annotations"] if each["image_id"] == image["id"]]
    size = Size(image["height"], image["width"])
    masks = Masks.from_image_runs(
        size, (from_coco(each["segmentation"]["counts"]) for each in found)
    )
    return masks, np.array([bool(each["iscrowd"]) for each in found])


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
    rows = []
    for name in ("fast", "default", *LAST_STEPS, "thorough"):
        own = [line for line in lines if line["name"] == name]
        found = average_recall(
            [Recall(np.array(line["found"]), np.array(line["truths"])) for line in own]
        )
        rows.append(
            {
                "settings": name,
                "ar": round(found.all, 4),
                "small": round(found.small, 4),
                "medium": round(found.medium, 4),
                "large": round(found.large, 4),
                "masks": float(np.mean([line["masks"] for line in own])),
                "duplicates": float(np.mean([line["duplicates"] for line in own])),
                "seconds": float(np.median([line["seconds"] for line in own])),
                "seconds_least": min(line["seconds"] for line in own),
                "images": len(own),
                "objects": found.truths,
            }
        )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python benchmarks/everything_quality.py",
        "model": model,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "rows": rows,
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| settings | AR@1000 | small | medium | large | masks an image | duplicates an image "
        "| seconds an image, median (least) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['settings']} | {row['ar']:.3f} | {row['small']:.3f} | {row['medium']:.3f} "
        f"| {row['large']:.3f} | {row['masks']:.1f} | {row['duplicates']:.1f} "
        f"| {row['seconds']:.0f} ({row['seconds_least']:.0f}) |"
        for row in results["rows"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
