"""Files of masks, one file a format, both directions, and the table of them.

No format knows another. Embeddings have a file of their own, ``embedding.py``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from samphire import atomic
from samphire.errors import FileFormatError
from samphire.formats import masks_json, png
from samphire.masks import Masks


@dataclass(frozen=True)
class Format:
    """How masks are written and read back.

    Attributes:
        name: what ``--format`` calls it.
        suffix: of its files.
        summary: one line for a person who chooses.
        encode: the bytes of each file that the masks become.
        paths: the names of these files, for a path and a number of masks.
        read: gets them back.
    """

    name: str
    suffix: str
    summary: str
    encode: Callable[[Masks], Iterable[bytes]]
    paths: Callable[[Path, int], list[Path]]
    read: Callable[[Path], Masks]


FORMATS = {
    "json": Format(
        "json",
        ".json",
        "all masks and scores in one file, run lengths as in SA-1B",
        masks_json.encode,
        lambda path, _: [path],
        masks_json.read,
    ),
    "png": Format(
        "png",
        ".png",
        "black and white, one picture a mask",
        png.encode,
        png.paths,
        png.read,
    ),
}


def format_of(path: str | Path, name: str | None = None) -> Format:
    """The format with this name, or else the one of the file's suffix.

    Raises:
        FileFormatError: there is none.
    """
    suffix = Path(path).suffix.lower()
    for candidate in FORMATS.values():
        if name == candidate.name or (name is None and suffix == candidate.suffix):
            return candidate
    known = ", ".join(f"{known.name} ({known.suffix})" for known in FORMATS.values())
    asked = f"format {name!r}" if name is not None else f"the suffix {suffix!r} of {path}"
    raise FileFormatError(f"{asked} is not known: expected one of {known}")


def save_masks(masks: Masks, path: str | Path, format: str | None = None) -> None:  # noqa: A002
    """Write masks to files, each whole or not at all; files of that name are replaced.

    Args:
        masks: on one image.
        path: of the file.
        format: ``json`` or ``png``; by default the suffix decides.

    Raises:
        FileFormatError: the format is not known.
        OSError: the file cannot be written.
    """
    kind = format_of(path, format)
    files = kind.paths(Path(path), len(masks))
    for file, data in zip(files, kind.encode(masks), strict=True):
        atomic.write_bytes(file, data)


def load_masks(path: str | Path, format: str | None = None) -> Masks:  # noqa: A002
    """Read masks that :func:`save_masks` wrote.

    Raises:
        FileFormatError: the file is not what its format says.
        OSError: the file cannot be read.
    """
    return format_of(path, format).read(Path(path))
