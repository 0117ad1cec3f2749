"""Content-addressed files on disk: kept under a key, bounded by bytes, the least used go first.

Knows keys and bytes, not what they mean: ``formats/embedding_cache.py`` keeps embeddings in it.
Several processes may share a folder. A reader takes no lock and never sees half a file: a file is
written beside its place and renamed. A writer holds the folder's lock while it makes room and
writes, so the bound holds at every moment, and a temporary file found under the lock is what a
killed process left. Order of use is the files' modification times, set anew at each use.
"""

import logging
import mmap
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from samphire import atomic

logger = logging.getLogger(__name__)

# About 2,400 embeddings of 1024-pixel models, 4.2 MB each.
DEFAULT_MAX_BYTES = 10_000_000_000
LOCK_NAME, LOCK_SECONDS = ".samphire-cache.lock", 30.0
_KEY = re.compile(r"[0-9a-z][0-9a-z._-]{0,120}")


@dataclass(frozen=True)
class Cache:
    """A folder of files, made when something is first kept.

    Attributes:
        folder: for this cache alone; readable by its owner only, where it is made here.
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
            Whether they are kept; False where they alone exceed ``max_bytes``.

        Raises:
            OSError: the folder cannot be written, the disk is full, or its lock is held for long.
        """
        path = self._path(key)
        if len(data) > self.max_bytes:
            return False
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK_NAME, timeout=LOCK_SECONDS):
            path.unlink(missing_ok=True)
            self._make_room(len(data))
            atomic.write_bytes(path, data)
            _touch(path)
        return True

    def discard(self, key: str) -> None:
        """Forget the key, for example because its bytes turned out to be damaged."""
        with suppress(OSError):
            self._path(key).unlink()

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def used_bytes(self) -> int:
        """What the files take now."""
        return sum(size for _, size, _ in self._files())

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"cache key {key!r}: expected a-z, 0-9 and . _ - (at most 121)")
        return self.folder / key

    def _make_room(self, needed: int) -> None:
        """Remove leftovers, and files until ``needed`` bytes fit; only under the lock."""
        kept = []
        for used, size, path in self._files():
            if path.name.startswith("."):
                path.unlink(missing_ok=True)
            else:
                kept.append((used, size, path))
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total + needed <= self.max_bytes:
                return
            with suppress(PermissionError):  # Windows keeps a file that somebody has mapped
                path.unlink(missing_ok=True)
                total -= size

    def _files(self) -> list[tuple[int, int, Path]]:
        """When each file was last used, in ns, its size and path; temporary ones included."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # dropped meanwhile
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_file(follow_symlinks=False) and entry.name != LOCK_NAME:
                        found.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
        return found


def _touch(path: Path) -> None:
    """Note that the file was used now; by our clock, which is finer than the file system's."""
    now = time.time_ns()
    with suppress(OSError):  # dropped meanwhile, or another user's
        os.utime(path, ns=(now, now))
