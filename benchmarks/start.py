"""How long the first mask takes from the shell, against the sum of what it cannot do without.

    python benchmarks/start.py
    python benchmarks/start.py --table              print the committed results

The whole is ``samphire segment PHOTO --point X,Y --format json`` in a fresh process, without the
cache of embeddings. The parts are taken in another fresh process: the interpreter, the packages of
others, the weights, reading the photo, encode, decode, write. What is between them is ours:
importing samphire, parsing, checking. Files are in the system's cache, as after a first run.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import command
import numpy as np
from engines import PHOTO, PUBLISHED, random_file
from measuring import ForeignLoad, Times, in_turns
from results import REFERENCE, duration, write

RESULTS = REFERENCE / "start.json"
POINT = (900, 600)  # as in start_parts.py
PARTS = ("python", "packages", "load", "read", "encode", "decode", "write")
AIM = 1.1
PROCESS = Path(__file__).with_name("start_parts.py")


def main() -> None:
    """Measure, or print what was measured."""
    parser = command.parser(__doc__, RESULTS, rounds=9)
    parser.set_defaults(model="vit_t")
    given = parser.parse_args()
    if command.answered(parser, given, table):
        return
    with TemporaryDirectory() as place:
        folder = Path(place)
        calls = calls_of(given, folder)
        for call in calls.values():  # once, so that files are in the system's cache
            call()
        print(f"whole and parts give the same mask: {same_mask(folder)}", file=sys.stderr)
        times = in_turns(calls, given.rounds, ForeignLoad(), given.most_foreign)
    results = write(given.results, command.told(parser, given), summary(times, given.model))
    print(table(results))


def calls_of(given: argparse.Namespace, folder: Path) -> dict[str, Callable[[], float]]:
    """What a round calls: the whole, the interpreter, and a process that tells the other parts."""
    model = given.model if given.model in PUBLISHED else str(random_file(given.model))
    photo = str(given.data / PHOTO)
    shell = ["segment", photo, "--point", f"{POINT[0]},{POINT[1]}", "--format", "json"]
    more = ["--model", model, "--device", "cpu", "--no-cache", "--offline", "--force"]
    output = ["--output", str(folder / "whole.json")]
    told: dict[str, float] = {}

    def of_parts() -> float:
        told.update(json.loads(run([str(PROCESS), model, photo, str(folder / "parts.json")])))
        return told["packages"]

    def last(name: str) -> Callable[[], float]:
        return lambda: told[name]

    return {
        "whole": lambda: timed(["-m", "samphire.cli", *shell, *more, *output]),
        "python": lambda: timed(["-c", "pass"]),
        "packages": of_parts,
        **{name: last(name) for name in (*PARTS[2:], "samphire")},
    }


def run(arguments: list[str]) -> str:
    """What a Python process prints."""
    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def timed(arguments: list[str]) -> float:
    """Seconds of a Python process, from its start to its end."""
    started = time.perf_counter()
    run(arguments)
    return time.perf_counter() - started


def same_mask(folder: Path) -> bool:
    """Whether both wrote the same mask."""
    found = [json.loads((folder / f"{name}.json").read_text()) for name in ("whole", "parts")]
    one, other = ([each["segmentation"] for each in one["annotations"]] for one in found)
    return bool(one == other)


def summary(times: Times, model: str) -> dict[str, Any]:
    """What is kept of the rounds."""
    made: dict[str, Any] = {
        "model": model,
        "rounds": len(times.kept),
        "discarded": times.discarded,
        "seconds": {},
    }
    if times.kept:
        ratios = [each["whole"] / sum(each[part] for part in PARTS) for each in times.kept]
        made["ratio"], made["least_ratio"] = float(np.median(ratios)), min(ratios)
        for name in times.kept[0]:
            spent = [each[name] for each in times.kept]
            made["seconds"][name] = {"median": float(np.median(spent)), "least": min(spent)}
    return made


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"{results['model']}: {results['rounds']} rounds, {results['discarded']} discarded",
        "",
        "| part | median | least |",
        "|---|---|---|",
    ]
    words = {"packages": "import the packages of others", "samphire": "import samphire (no part)"}
    for name, spent in results["seconds"].items():
        told = words.get(name, name)
        lines.append(f"| {told} | {duration(spent['median'])} | {duration(spent['least'])} |")
    if "ratio" in results:
        lines += [
            "",
            f"The whole is {results['ratio']:.2f} times the sum of its parts (aim {AIM}).",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
