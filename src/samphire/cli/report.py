"""How a command tells what became of its images: results to stdout, talk to stderr."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import click
from tqdm import tqdm

from samphire.batch.local import Outcome

Say = Callable[..., None]
Describe = Callable[[dict[str, Any]], str]


def tell(outcome: Outcome, describe: Describe, *, as_json: bool, say: Say = click.echo) -> None:
    """Tell about one image.

    Args:
        outcome: how it went.
        describe: a record in words.
        as_json: one line of JSON instead of text.
        say: like ``click.echo``.
    """
    record, files = outcome.record, [str(path) for path in outcome.outputs]
    if as_json:
        head = {"image": outcome.task.name, "status": outcome.status, "outputs": files}
        error = {"error": outcome.error} if outcome.error else {}
        say(json.dumps(head | error | record, allow_nan=False))
        return
    if record:
        say(f"{outcome.task.name}: {describe(record)}", err=True)
    for file in files:
        say(file)


def tell_all(
    outcomes: Iterable[Outcome], total: int, describe: Describe, *, as_json: bool
) -> tuple[Counter[str], list[Outcome]]:
    """Tell about many as they are done, beside a progress bar.

    Returns:
        How many have which status, and how many embeddings which origin; those that failed.
    """
    counts = Counter[str]()
    failed: list[Outcome] = []
    for outcome in tqdm(outcomes, total=total, unit="image", disable=None):
        counts.update([outcome.status, outcome.record.get("embedding", "")])
        failed += [outcome] if outcome.status == "failed" else []
        tell(outcome, describe, as_json=as_json, say=_beside_bar)
    return counts, failed


def tell_failures(failed: Iterable[Outcome]) -> None:
    """One line each, at the end."""
    for outcome in failed:
        click.echo(f"  {outcome.task.name}: {outcome.error}", err=True)


def _beside_bar(text: str, err: bool = False) -> None:  # noqa: FBT002 - click.echo's signature
    """Like click.echo, without tearing the progress bar."""
    tqdm.write(text, file=sys.stderr if err else sys.stdout)
