"""The weights of a catalogue entry on this computer: fetched once, checked, converted, kept.

    <cache>/weights/     what models are loaded from: one safetensors file an entry
    <cache>/downloads/   published files that somebody placed by hand; never changed here
    <cache>/partial/     downloads under way, kept for resuming; empty when all went well

The cache is the folder in ``SAMPHIRE_CACHE``, or else the user's cache folder of this system.
Hashes are compared when something is fetched and by ``verify``, not at every start. What downloads
and converts is imported only where a file is missing, so that finding a file is quick.
"""

import errno
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import filelock
import platformdirs

from samphire.errors import CheckpointError, FetchError, MissingExtraError
from samphire.weights.catalog import Entry, PackageSource, Source

logger = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Verification:
    """What ``verify`` found.

    Attributes:
        path: where the file is, or would be.
        state: whether it can be trusted.
        detail: what was found and what to do, in a line.
    """

    path: Path
    state: Literal["good", "missing", "damaged"]
    detail: str


def cache_dir() -> Path:
    """The folder in which Samphire keeps what it can fetch or compute again."""
    chosen = os.environ.get("SAMPHIRE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("samphire"))


def downloads_dir() -> Path:
    """Where a published file can be placed by hand, under its own name."""
    return cache_dir() / "downloads"


def weights_path(entry: Entry) -> Path:
    """Where the converted file of an entry is, or would be.

    The name holds the start of ``base_id``: an entry that changes gets another file.
    """
    return cache_dir() / "weights" / f"{entry.name}-{entry.base_id[:12]}.safetensors"


def is_cached(entry: Entry) -> bool:
    """Whether ``fetch`` would find the file without fetching."""
    return weights_path(entry).is_file()


def fetch(entry: Entry, *, offline: bool = False, progress: bool = False) -> Path:
    """The converted file of an entry: from the cache, a file placed by hand, or its sources.

    Sources are tried in the catalogue's order. Processes that ask at the same time fetch once.

    Args:
        entry: what to get (``catalog.entry("vit_t")``).
        offline: touch no network and run no package program.
        progress: show a bar on stderr while downloading, if that is a terminal.

    Raises:
        FetchError: it cannot be had; the message has a line for each source, and what to do.
    """
    path = weights_path(entry)
    if path.is_file():
        return path
    try:
        downloads_dir().mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock"), entry):
            if not path.is_file():  # another process may have been quicker
                _fetch(entry, path, offline=offline, progress=progress)
    except OSError as error:
        raise FetchError(_disk_problem(error, entry)) from error
    return path


def verify(entry: Entry) -> Verification:
    """Read the whole cached file again and say whether it is what was written."""
    from samphire.weights.weights_file import check_weights  # noqa: PLC0415 - only for verifying

    path = weights_path(entry)
    if not path.is_file():
        return Verification(path, "missing", f"{entry.name} has not been fetched")
    try:
        check_weights(path, entry)
    except (CheckpointError, OSError) as error:
        return Verification(path, "damaged", f"{error}; remove the file and fetch it again")
    return Verification(path, "good", f"{path.stat().st_size:,} bytes, content as written")


def _fetch(entry: Entry, path: Path, *, offline: bool, progress: bool) -> None:
    """Make ``path`` from the first source that gives its file.

    Raises:
        FetchError: none does.
        OSError: the disk is full, or the cache cannot be written.
    """
    reasons: list[str] = []
    for source in entry.sources:
        placed = downloads_dir() / source.file_name
        if placed.is_file() and _made(placed, source, entry, path, reasons):
            return
    work = cache_dir() / "partial" / entry.name
    try:
        for source in () if offline else entry.sources:
            if _fetched(source, work, entry, path, reasons, progress=progress):
                shutil.rmtree(work, ignore_errors=True)
                return
    finally:
        _remove_if_empty(work, work.parent)
    raise FetchError(_summary(entry, reasons, offline=offline))
