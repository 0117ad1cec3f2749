"""Samples that an adapter has seen: measured on them it looks better than it is.

They are known by the bytes of their files, which the adapter's file remembers. Not for refusing
them: whoever measures on them may have a reason.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from samphire.samples import Sample
from samphire.samples.split import members_of

if TYPE_CHECKING:
    from samphire.weights.adapter_file import AdapterFile


def count_seen(adapter: "AdapterFile", samples: Sequence[Sample]) -> int | None:
    """How many of the samples taught an adapter or chose its epoch.

    Returns:
        None where the adapter does not say what it has seen: its file is of an earlier version, or
        came from elsewhere.
    """
    if not adapter.seen:
        return None
    seen = frozenset(adapter.seen)
    return sum(member.fingerprint in seen for member in members_of(samples))


def say_seen(seen: int | None, samples: int) -> None:
    """Warn where the figures flatter, and where that cannot be known.

    Args:
        seen: of :func:`count_seen`.
        samples: that are measured.
    """
    if seen is None:
        click.echo(
            "the adapter does not say which samples it was trained on: if some of these are among "
            "them, the figures flatter",
            err=True,
        )
    elif seen:
        click.echo(
            f"warning: {seen} of {samples} samples taught this adapter or chose its epoch: the "
            "figures flatter; measure samples that it has not seen with --splits FILE --split "
            "test, FILE being the splits.json of its run",
            err=True,
        )
