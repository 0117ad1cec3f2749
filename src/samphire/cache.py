"""Content-addressed files on disk: kept under a key, bounded by bytes, the least used go first.

Knows keys and bytes, not what they mean: ``formats/embedding_cache.py`` keeps embeddings in it.
Several processes may share a folder. A reader takes no lock and never sees half a file: a file is
written beside its place and renamed. A writer holds the folder's lock while it makes room and
writes, so the bound holds at every moment, and a temporary file found under the lock is what a
killed process left. Order of use is the files' modification times, set anew at each use. Files
with other names than this cache gives are never touched.
"""

import logging
import mmap
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from samphire import atomic

logger = logging.getLogger(__name__)

# About 2,400 embeddings of 1024-pixel models, 4.2 MB each.
DEFAULT_MAX_BYTES = 10_000_000_000
# A file of some MB is written in a moment: who waits longer waits for a process that hangs.
LOCK_NAME, LOCK_SECONDS = ".samphire-cache.lock", 10.0
_KEY = re.compile(r"[0-9a-f]{64}(\.[a-z]+)*")
_LEFTOVER = re.compile(r"\.[0-9a-f]{48}\.[0-9a-f]+\.tmp(\.[a-z]+)?")  # see atomic.replacing
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def cache_dir() -> Path:
    """The folder in which Samphire keeps what it can fetch or compute again."""
    chosen = os.environ.get("SAMPHIRE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("samphire"))


def parse_bytes(text: str) -> int:
    """A number of bytes as people write it.

    Raises:
        ValueError: it is not one, or not above 0.

    >>> parse_bytes("10GB"), parse_bytes("1.5 MiB"), parse_bytes("4096")
    (10000000000, 1572864, 4096)
    """
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", text)
    factor = _UNITS.get(found[2].lower()) if found else None
    count = int(float(found[1]) * factor) if found and factor else 0
    if count < 1:
        raise ValueError(f"{text!r} is not a number of bytes: expected one like 500MB or 10GB")
    return count


def shown_bytes(count: int) -> str:
    """A number of bytes for a person.

    >>> shown_bytes(38_123_456), shown_bytes(10_000_000_000), shown_bytes(999)
    ('38.1 MB', '10 GB', '999 bytes')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count} bytes"


@dataclass(frozen=True)
class Cache:
    """A folder of files, made when something is first kept.

    A key is a SHA-256 in hex, with suffixes if wanted; it is the name of its file.

    Attributes:
        folder: readable by its owner only, where it is made here.
        max_bytes: the most that its files take together, those being written included.
    """

    folder: Path
    max_bytes: int = DEFAULT_MAX_BYTES

    def __post_init__(self) -> None:
        if self.max_bytes <= 0:
            raise ValueError(f"max_bytes={self.max_bytes}: expected a number of bytes above 0")

    def read(self, key: str) -> memoryview | None:
        """The bytes kept under the key, mapped and read-only; None where there are none.

        The mapping stays good when the file is dropped or replaced meanwhile.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            return None
        except ValueError:  # nothing in it: a disk that lost power
            self.discard(key)
            return None
        except OSError as error:
            logger.info("%s cannot be read: %s", path, error)
            return None
        _touch(path)
        return memoryview(mapped)

    def write(self, key: str, data: bytes) -> bool:
        """Keep the bytes under the key; those used longest ago make room.

        Returns:
            Whether they are kept; False where ``max_bytes`` leaves no room for them.

        Raises:
            OSError: the folder cannot be written, the disk is full, or its lock is held for long.
        """
        from filelock import FileLock  # noqa: PLC0415 - only for writing

        path = self._path(key)
        if len(data) > self.max_bytes:
            return False
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK_NAME, timeout=LOCK_SECONDS):
            path.unlink(missing_ok=True)
            if not self._make_room(len(data)):
                return False
            atomic.write_bytes(path, data)
            _touch(path)
        return True

    def discard(self, key: str) -> None:
        """Forget the key, for example because its bytes turned out to be damaged."""
        with suppress(OSError):
            self._path(key).unlink()

    def used_bytes(self) -> int:
        """What the files take now."""
        return sum(file.size for file in self._files())

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"cache key {key!r}: expected a SHA-256 in hex, then suffixes if any")
        return self.folder / key

    def _make_room(self, needed: int) -> bool:
        """Remove leftovers, and files until ``needed`` bytes fit; only under the lock."""
        files = sorted(self._files())
        total = sum(file.size for file in files)
        for file in files:
            if file.whole and total + needed <= self.max_bytes:
                break
            with suppress(PermissionError):  # another's; Windows keeps a file somebody has mapped
                file.path.unlink(missing_ok=True)
                total -= file.size
        return total + needed <= self.max_bytes

    def _files(self) -> list["_File"]:
        """All files of this cache, temporary ones included."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                whole = _KEY.fullmatch(entry.name) is not None
                ours = whole or _LEFTOVER.fullmatch(entry.name)
                if not ours or not entry.is_file(follow_symlinks=False):
                    continue
                with suppress(FileNotFoundError):  # dropped meanwhile
                    status = entry.stat(follow_symlinks=False)
                    found.append(_File(whole, status.st_mtime_ns, status.st_size, Path(entry.path)))
        return found


@dataclass(frozen=True, order=True)
class _File:
    """One file; ordered as they go: leftovers, then those used longest ago (ns)."""

    whole: bool
    used: int
    size: int
    path: Path


def _touch(path: Path) -> None:
    """Note that the file was used now; by our clock, which is finer than the file system's."""
    now = time.time_ns()
    with suppress(OSError):  # dropped meanwhile, or another user's
        os.utime(path, ns=(now, now))
