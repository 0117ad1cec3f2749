"""Samples that an adapter has seen: measured on them it looks better than it is.

They are known by the bytes of their pictures, which the adapter's file remembers: under another
name, or with a mended label, a picture is still one that it has seen. Not for refusing them:
whoever measures on them may have a reason.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.samples import Sample
from samphire.weights.checksums import file_digest

if TYPE_CHECKING:
    from samphire.weights.adapter_file import AdapterFile

DIGITS = 16  # of a SHA-256 in hex: short, and still no two alike by chance


def fingerprints(samples: Iterable[Sample]) -> list[str]:
    """By which a picture is known again, of each sample; slices of a volume share one."""
    found: dict[Path, str] = {}
    pictures = [sample.files[0] for sample in samples]
    for path in pictures:
        if path not in found:
            found[path] = file_digest(path, "sha256").hex()[:DIGITS]
    return [found[path] for path in pictures]


def count_seen(adapter: "AdapterFile", samples: Sequence[Sample]) -> int | None:
    """How many of the samples taught an adapter or chose its epoch.

    Returns:
        None where the adapter does not say what it has seen: its file is of an earlier version, or
        came from elsewhere.
    """
    if not adapter.seen:
        return None
    seen = frozenset(adapter.seen)
    return sum(each in seen for each in fingerprints(samples))


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
