"""The journal of a folder run: which input was done, with which settings, into which files.

One JSON object a line in ``.samphire-journal.jsonl`` inside the output folder; lines are only ever
appended, and each is on the disk before the next step begins. The last line of an input counts:

- ``writing``: its outputs, listed, are being put in place; after a kill they may be replaced;
- ``done``: they are there;
- ``failed``: with the reason, and nothing of it is there; the next run tries again.

Not for deciding what to do (``local.py``).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from io import BufferedRandom
from pathlib import Path, PurePath
from typing import Any, Literal

from filelock import FileLock, Timeout

from samphire.errors import FileFormatError, OutputExistsError

FORMAT, VERSION = "samphire-journal", 1
FILE_NAME, LOCK_NAME = ".samphire-journal.jsonl", ".samphire-journal.lock"


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        input: name of the input, unique in the run.
        content: SHA-256 of the input's bytes.
        settings: :func:`settings_id` of everything else that the outputs depend on.
        outcome: see above.
        outputs: names of the files, relative to the output folder.
        error: why it failed, else empty.
        detail: see ``Task``.
    """

    input: str
    content: str
    settings: str
    outcome: Literal["writing", "done", "failed"]
    outputs: tuple[str, ...] = ()
    error: str = ""
    detail: str = ""


class Journal:
    """An open journal; made by :func:`open_journal`."""

    def __init__(self, file: BufferedRandom, entries: list[Entry]) -> None:
        self._file = file
        self._entries: dict[str, Entry] = {}
        self._makers: dict[str, str] = {}
        for entry in entries:
            self._take(entry)

    def last(self, name: str) -> Entry | None:
        """What was last written about this input."""
        return self._entries.get(name)

    def maker(self, output: str) -> str | None:
        """The input that last made this output."""
        return self._makers.get(output)

    def append(self, entry: Entry) -> None:
        """Write a line and wait until it is on the disk."""
        self._take(entry)
        _append(self._file, vars(entry))

    def _take(self, entry: Entry) -> None:
        self._entries[entry.input] = entry
        self._makers.update(dict.fromkeys(entry.outputs, entry.input))


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """The journal of an output folder, for one process at a time; made where there is none.

    A last line that a kill cut off is removed.

    Raises:
        OutputExistsError: another run is writing into this folder.
        FileFormatError: the journal is damaged or of a newer version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK_NAME, timeout=0), _open(folder / FILE_NAME) as file:
            yield Journal(file, _read(file, folder / FILE_NAME))
    except Timeout as error:
        raise OutputExistsError(
            f"another run is writing into {folder}: wait for it, or choose another --output"
        ) from error


def settings_id(settings: dict[str, Any]) -> str:
    """SHA-256 of settings that JSON can hold, whatever their order.

    >>> settings_id({"a": 1, "b": [2]}) == settings_id({"b": [2], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def content_id(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path) -> BufferedRandom:
    path.touch()
    return path.open("rb+")


def _append(file: BufferedRandom, line: dict[str, Any]) -> None:
    file.write(json.dumps(line).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _read(file: BufferedRandom, path: Path) -> list[Entry]:
    """The entries in order; leaves the file at its end, after a whole line."""
    data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    file.seek(len(whole))
    file.truncate()
    lines = whole.splitlines()
    if not lines:
        header = {"format": FORMAT, "version": VERSION, "samphire": version("samphire")}
        _append(file, header)
        return []
    try:
        found = json.loads(lines[0])
        if found["format"] != FORMAT or found["version"] > VERSION:
            raise FileFormatError(
                f"{path} is {found['format']} version {found['version']}: this Samphire reads "
                f"{FORMAT} up to {VERSION}; upgrade it, or choose another --output"
            )
        return [_entry(line) for line in lines[1:]]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"{path} is damaged ({error}): move it away, or choose another --output"
        ) from error


def _entry(line: bytes) -> Entry:
    found = json.loads(line)
    outputs = tuple(found["outputs"])
    for output in map(PurePath, outputs):  # a later run may remove what it finds here
        if output.is_absolute() or ".." in output.parts:
            raise ValueError(f"the output {output} lies outside the folder")
    return Entry(**(found | {"outputs": outputs}))
