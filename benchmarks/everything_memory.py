"""How much memory everything mode takes, and whether a budget holds: peak of a whole process.

    python benchmarks/everything_memory.py              measure, each row in a process of its own
    python benchmarks/everything_memory.py --table      print the committed results

A row is a picture of so many megapixels, enlarged from a photo of the sample data, a grid, layers
of crops, and a budget. The peak is the process's largest resident set (``ru_maxrss``), with Python,
PyTorch, the weights and the photo in it.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "reference" / "everything-memory.json"
PHOTO = "photos/large_dandelions_16mpx.jpg"


@dataclass(frozen=True)
class Row:
    """What is measured in one process.

    Attributes:
        megapixels: of the picture.
        points_per_side: of the grid.
        crop_layers: of crops; each has half the points a side.
        budget: as ``max_memory`` takes it, or None.
    """

    megapixels: int
    points_per_side: int
    crop_layers: int = 0
    budget: str | None = None


ROWS = (
    Row(2, 8),
    Row(16, 8),
    Row(16, 16),
    Row(50, 8),
    Row(50, 16, crop_layers=1, budget="2GB"),
)


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SAMPHIRE_DATA"))
    parser.add_argument("--table", action="store_true", help="print the committed results")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(RESULTS.read_text())))
        return
    if given.data is None:
        parser.error("give --data FOLDER, the sample data")
    if given.row is not None:
        print(json.dumps(measure(ROWS[given.row], given.data / PHOTO)))
        return
    rows = [in_a_process(index, given.data) for index in range(len(ROWS))]
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python benchmarks/everything_memory.py",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


def in_a_process(index: int, data: Path) -> dict[str, Any]:
    """One row, measured in a process that has seen no other."""
    command = [sys.executable, __file__, "--row", str(index), "--data", str(data)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{found}", file=sys.stderr)
    return found


def measure(row: Row, photo: Path) -> dict[str, Any]:
    """Segment everything once, and tell the peak."""
    import samphire  # noqa: PLC0415 - counted
    from samphire.predict.everything_settings import EverythingSettings  # noqa: PLC0415

    picture = enlarged(photo, row.megapixels)
    engine = samphire.load("vit_t", device="cpu", progress=False)
    ready = peak()
    started = time.perf_counter()
    masks = samphire.segment_everything(
        engine,
        picture,
        EverythingSettings(
            points_per_side=row.points_per_side,
            crop_layers=row.crop_layers,
            crop_points_downscale=2.0,
        ),
        max_memory=row.budget,
    )
    return asdict(row) | {
        "masks": len(masks),
        "seconds": round(time.perf_counter() - started, 1),
        "ready_mb": ready,
        "peak_mb": peak(),
        "masks_mb": round(sum(runs.nbytes for runs in masks.runs) / 1e6, 2),
    }


def enlarged(photo: Path, megapixels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The photo at so many megapixels, row by row, so that making it is not the peak."""
    from samphire.images.read import read_image  # noqa: PLC0415

    source = read_image(photo)
    height, width, _ = source.shape
    factor = (megapixels * 1e6 / (height * width)) ** 0.5
    rows = (np.arange(round(height * factor)) / factor).astype(int).clip(0, height - 1)
    columns = (np.arange(round(width * factor)) / factor).astype(int).clip(0, width - 1)
    large = np.empty((len(rows), len(columns), 3), np.uint8)
    for index, row in enumerate(rows):
        large[index] = source[row][columns]
    return large


def peak() -> int:
    """The largest resident set so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| picture | grid | crop layers | budget | masks | ready | peak | of it masks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        grid = f"{row['points_per_side']} x {row['points_per_side']}"
        lines.append(
            f"| {row['megapixels']} MP | {grid} | {row['crop_layers']} | {row['budget'] or 'none'} "
            f"| {row['masks']} | {row['ready_mb']} MB | {row['peak_mb']} MB "
            f"| {row['masks_mb']} MB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
