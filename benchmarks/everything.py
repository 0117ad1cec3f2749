"""How fast everything mode is: plain, fast, and the published algorithm on the plain model.

    python benchmarks/everything.py                 a grid of 32 x 32 on the photo (half an hour)
    python benchmarks/everything.py --points 4 --results trial.json
    python benchmarks/everything.py --same-masks    are they the same masks, on all photos?
    python benchmarks/everything.py --table         print the committed results

How good the masks of the presets are, ``everything_quality.py`` says.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import command
import numpy as np
import published_run
from contender import Runner
from engines import PHOTO, product
from everything_work import ours, published_steps
from measuring import ALLOCATORS, OUR_PATHS, Contender, Worker, measure
from results import PRODUCTS, REFERENCE, table, write
from same_masks import compare, photos, summary

RESULTS = REFERENCE / "everything.json"
CASES = ("default", "fast")  # presets
BARE = "fast, without numba"  # as where the extra "fast" is not installed


def main() -> None:
    """Measure, or print what was measured, or be a contender."""
    parser = command.parser(__doc__, RESULTS, rounds=3)
    parser.set_defaults(model="vit_t")
    parser.add_argument("--points", type=int, default=32, help="of the grid, in a row")
    parser.add_argument("--same-masks", action="store_true", help="compare, on all photos")
    parser.add_argument("--preset", choices=CASES, default="default", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if command.answered(parser, given, tables, work):
        return
    for part in same_masks(given) if given.same_masks else measured(given):
        results = write(given.results, command.told(parser, given), part)
    print(tables(results))


def measured(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Both presets, first whether their masks are the same; then the published algorithm."""
    for preset in CASES:
        told: list[dict[str, Any]] = []
        found = measure(
            f"everything with preset {preset}, {given.points} x {given.points} points",
            [
                *(
                    one(path, preset, given, setting)
                    for path in OUR_PATHS
                    for setting in ALLOCATORS
                ),
                one(BARE, preset, given),
                *(one(name, preset, given, flops=flops) for name, flops in PRODUCTS.items()),
            ],
            rounds=given.rounds,
            most_foreign=given.most_foreign,
            differ=partial(equality, given=given, told=told),
        )
        yield {preset: found, f"{preset}_masks": told}
    runs = {}
    for setting in ALLOCATORS:
        runs[setting] = published_run.measure_steps(
            {name: one(name, "default", given, setting) for name in ("published", *OUR_PATHS)},
            published_run.folder_of(given.model, given.points, setting),
            given.points,
            given.most_foreign,
        )
        yield {"published": runs}


def one(
    name: str,
    preset: str,
    given: argparse.Namespace,
    allocator: str = "default",
    *,
    flops: float | None = None,
) -> Contender:
    """A contender."""
    asked = ("--worker", name, "--preset", preset, "--model", given.model)
    more = ("--points", str(given.points), "--data", str(given.data))
    return Contender(name, (__file__, *asked, *more), allocator, flops)


def equality(
    left: Path, right: Path, *, given: argparse.Namespace, told: list[dict[str, Any]]
) -> float | None:
    """The largest difference of the predicted IoU of common records; all of it goes to ``told``."""
    with np.load(right) as columns:
        if "boxes" not in columns:
            return None  # a product of matrices
    found = compare(left, right, given.data / PHOTO, given.model)
    print(found, file=sys.stderr)
    told.append({"photo": Path(PHOTO).name, **found.as_json()})
    return found.predicted_iou


def same_masks(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Plain against fast on each photo, and against the published algorithm where that has run."""
    found: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        workers = [stack.enter_context(Worker(one(p, "default", given))) for p in OUR_PATHS]
        for photo in photos(given.data):
            paths = [folder / f"{path}.npz" for path in OUR_PATHS]
            for worker, path in zip(workers, paths, strict=True):
                worker.seconds({"photo": str(photo)}, save=path)
            others = {"fast": paths[1]}
            last = published_run.folder_of(given.model, given.points, "default") / "settle.npz"
            if photo.name == Path(PHOTO).name and last.exists():
                others["published"] = last
            for against, other in others.items():
                difference = compare(paths[0], other, photo, given.model)
                print(f"{photo.name}, {against}: {difference}", file=sys.stderr)
                found.append({"against": against, "photo": photo.name, **difference.as_json()})
            yield {"same_masks": found}


def work(given: argparse.Namespace) -> Runner:
    """What a contender does."""
    if given.worker in PRODUCTS:
        return product(given.worker)
    if given.worker == "published":
        return published_steps(given.model, given.points, given.data)
    path = given.worker
    if path == BARE:
        sys.modules["numba"] = None  # type: ignore[assignment]  # Python then finds none
        path = "fast"
    return ours(given.model, path, given.preset, given.points, given.data)


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    cases = [results[preset] for preset in CASES if preset in results]
    parts = [table(cases)] if cases else []
    if "published" in results:
        whole: dict[str, dict[str, float]] = {setting: {} for setting in ALLOCATORS}
        for row in results.get("default", {"rows": ()})["rows"]:
            if "median_seconds" in row:
                whole[row["allocator"]][row["name"]] = row["median_seconds"]
        parts.append(published_run.table(results["published"], whole))
    if "same_masks" in results:
        parts.append(summary(results["same_masks"]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
