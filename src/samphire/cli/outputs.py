"""Where results go: the names of output files, for one image and for many."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samphire.batch.task import Task

STREAM = "-"
EMBEDDING_SUFFIX = ".embedding.safetensors"


@dataclass(frozen=True)
class Target:
    """The output files of one image.

    Attributes:
        stem: folder and name, without a suffix.
        exact: the one file of masks, where the user named it.
    """

    stem: Path
    exact: Path | None = None

    def masks(self, suffix: str) -> Path:
        """The file of masks of a format.

        >>> Target(Path("out/photo")).masks(".mask.json").name
        'photo.mask.json'
        """
        return self.exact or self.stem.with_name(f"{self.stem.name}{suffix}")

    @property
    def overlay(self) -> Path:
        """The picture with the masks drawn on it."""
        return self.stem.with_name(f"{self.stem.name}.overlay.png")

    @property
    def embedding(self) -> Path:
        """The file of the embedding."""
        return self.stem.with_name(f"{self.stem.name}{EMBEDDING_SUFFIX}")


def names_one_file(output: str) -> bool:
    """Whether ``--output`` names a file (or stdout) and not a folder.

    >>> [names_one_file(output) for output in ("mask.png", "-", "masks/", "runs/v1.2")]
    [True, True, False, False]
    """
    suffix = Path(output).suffix[1:]
    folder = output.endswith("/") or Path(output).is_dir() or not suffix or suffix.isdecimal()
    return output == STREAM or not folder


def single_target(output: str | None, task: "Task") -> Target:
    """Where the masks of a single image go; by default into the current folder."""
    if output is not None and names_one_file(output):
        return Target(stem=Path(output).with_suffix(""), exact=Path(output))
    return Target(Path(output or ".") / _stem(Path(task.name).name))


def folder_targets(tasks: Iterable["Task"], folder: Path) -> dict[str, Target]:
    """Where the masks of each task go, by its name; folders inside folders are kept.

    Images whose names differ only in the suffix keep it, so that none hides the other; so does one
    that would be called as another is without it, as ``a.jpg.png`` beside ``a.jpg``.
    """
    stems = {task.name: _stem(task.name) for task in tasks}
    counts = Counter(stems.values())
    names = {Path(name) for name in stems}
    return {
        name: Target(folder / (stem if counts[stem] == 1 and stem not in names else name))
        for name, stem in stems.items()
    }


def _stem(name: str) -> Path:
    """The name without the suffix; of an embedding's file, that of the picture."""
    return (
        Path(name.removesuffix(EMBEDDING_SUFFIX))
        if name.endswith(EMBEDDING_SUFFIX)
        else (Path(name).with_suffix(""))
    )
