"""What a run works on, and what comes of it: values that travel between processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samphire import atomic


@dataclass(frozen=True)
class Task:
    """One input.

    Attributes:
        name: unique in the run: the path below the folder that was given.
        source: the file.
        detail: id of what else belongs to this input alone, such as its prompts; empty if nothing.
    """

    name: str
    source: Path
    detail: str = ""


@dataclass(frozen=True)
class Product:
    """What an input became, not yet on the disk: data, so that another process may make it.

    Attributes:
        files: the files it becomes, names and bytes.
        record: what there is to tell about it, for JSON.
    """

    files: tuple[tuple[Path, bytes], ...]
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The names of the files."""
        return tuple(path for path, _ in self.files)

    def write(self) -> None:
        """Write the files, each whole or not at all."""
        for path, data in self.files:
            atomic.write_bytes(path, data)
