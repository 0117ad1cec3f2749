"""Files that appear whole or not at all.

Not for logs that grow (``batch/journal.py`` appends and syncs) and not for downloads that resume
(``weights/``).
"""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends well, put it in its place.

    The data is on the disk before the name points to it, so a crash leaves either the old file or
    the new one. The temporary name keeps the suffix, for writers that look at it, and is nobody
    else's: threads may write one path at the same time, and the last one wins.

    Raises:
        OSError: the folder cannot be written, or the disk is full; ``path`` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_temporary_name(path, uuid4().hex[:8]))
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files beside ``path`` that a killed process left.

    Only for a caller who knows that no other process is writing ``path``.
    """
    start, end = _temporary_name(path, "/").split("/")
    for leftover in path.parent.glob(f"{glob.escape(start)}*{glob.escape(end)}"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _temporary_name(path: Path, tag: str) -> str:
    # cut short: with the tag, a long name would be longer than the disk allows
    return f".{path.stem[:48]}.{tag}.tmp{path.suffix}"
