"""The options that the benchmarks of speed share."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contender import Runner, serve
from measuring import MOST_FOREIGN


def parser(description: str | None, results: Path, *, rounds: int) -> argparse.ArgumentParser:
    """A parser; ``--worker`` is for the contenders' processes.

    Args:
        description: the script's docstring; its first line is shown.
        results: where the committed results lie.
        rounds: that are kept.
    """
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--data", type=Path, default=os.environ.get("SAMPHIRE_DATA"))
    made.add_argument("--results", type=Path, default=results)
    made.add_argument("--model", help="a part: this model alone")
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument(
        "--most-foreign",
        type=float,
        default=MOST_FOREIGN,
        help="share of the processors' time that others may take; 1 for a trial on a busy machine",
    )
    made.add_argument(
        "--reference", action="store_true", help="an installed segment_anything is a contender, too"
    )
    made.add_argument("--table", action="store_true", help="print the committed results")
    made.add_argument("--worker", help=argparse.SUPPRESS)  # the contender to be, in this process
    return made


def answered(
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    tables: Callable[[dict[str, Any]], str],
    work: Callable[[argparse.Namespace], Runner] | None = None,
) -> bool:
    """Whether that was all: a table of committed results, or the process of a contender.

    Args:
        parser: of :func:`parser`; stops with a message where the options do not go together.
        given: what it gave.
        tables: results as Markdown.
        work: what a contender does, if there are any.
    """
    if given.table:
        print(tables(json.loads(given.results.read_text())))
        return True
    if given.data is None:
        parser.error("give --data FOLDER, the sample data")
    if given.results == parser.get_default("results") and given.most_foreign > MOST_FOREIGN:
        parser.error("a trial on a busy machine is not the committed result: give --results FILE")
    if work is not None and given.worker:
        serve(lambda: work(given))
        return True
    return False


def told(parser: argparse.ArgumentParser, given: argparse.Namespace) -> str:
    """What to type for the same, without the places of this machine."""
    here = ("data", "results", "worker", "table", "embedding")
    chosen = {name: value for name, value in vars(given).items() if name not in here}
    words = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in chosen.items()
        if value != parser.get_default(name)
    ]
    return " ".join([f"python benchmarks/{parser.prog}", *words])
