"""What the readers of every layout share: names, splits, notes, and the sizes that must fit.

Not a layout; those are the files beside this one.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from samphire.arrays import BoolArray, ByteArray
from samphire.errors import FileFormatError
from samphire.formats.prompt_records import counted
from samphire.images.read import IMAGE_SUFFIXES
from samphire.masks import Masks
from samphire.samples.sample import Labelled, Split

SHOWN = 3
# What a message advises: the command line and Python call it differently.
CLASSES = "--classes (in Python classes=)"
IMAGE_FOLDERS = ("images", "image", "imgs", "img")
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_of(word: str) -> Split | None:
    """The split that a folder, a file or a cell is named after; a year may follow.

    >>> split_of("Validation"), split_of("train2017"), split_of("fold3")
    ('val', 'train', None)
    """
    return _SPLITS.get(re.sub(r"\d+$", "", word.strip().lower()))


def split_of_path(relative: Path) -> Split | None:
    """The split that one of a path's folders, or its file's name, is named after.

    >>> split_of_path(Path("images/train2017/a.jpg"))
    'train'
    """
    return next((split for part in relative.parts if (split := split_of(part))), None)


def files_in(folder: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The files of these suffixes in a folder and below, sorted; hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def roots_of(folder: Path) -> list[Path]:
    """The folder, and its subfolders that are named after a split."""
    return [
        folder,
        *sorted(each for each in folder.iterdir() if each.is_dir() and split_of(each.name)),
    ]


def folder_called(root: Path, names: Sequence[str]) -> Path | None:
    """The subfolder of the first of these names that there is, in any case of letters."""
    found = {each.name.lower(): each for each in root.iterdir() if each.is_dir()}
    return next((found[name] for name in names if name in found), None)


def relative(root: Path, file: Path) -> str:
    """The way from a folder to a file, with slashes; the same wherever the folder lies."""
    return Path(os.path.relpath(file, root)).as_posix()


def by_stem(root: Path, folder: Path, files: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    """Files by their path without suffix, and the names of those whose place is taken.

    Args:
        root: from where the names of files are told.
        folder: from where paths are counted.
        files: sorted; the first of several with one stem stays.
    """
    known: dict[str, Path] = {}
    for file in files:
        known.setdefault(file.relative_to(folder).with_suffix("").as_posix(), file)
    kept = set(known.values())
    return known, [relative(root, file) for file in files if file not in kept]


def left_out(names: Sequence[str], why: str, noun: tuple[str, str] = ("image", "images")) -> str:
    """One sentence about what was left out; empty if nothing was.

    >>> left_out(["a.jpg", "b.jpg"], "without a mask")
    '2 images without a mask left out: a.jpg, b.jpg.'
    """
    if not names:
        return ""
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{counted(len(names), *noun)} {why} left out: {shown}."


def sentences(*notes: str) -> tuple[str, ...]:
    """Those that say something."""
    return tuple(note for note in notes if note)


def class_names(found: Sequence[str], given: Sequence[str], source: str) -> tuple[str, ...]:
    """The names of the classes: those given, if they can be those found.

    Args:
        found: by the data, in the order of their labels.
        given: by the caller; empty for those found.
        source: of the data, for the message.

    Raises:
        FileFormatError: another number of them, or the same names in another order.
    """
    if not given:
        return tuple(found)
    if len(given) != len(found) or (set(given) == set(found) and list(given) != list(found)):
        raise FileFormatError(
            f"{source} has {counted(len(found), 'class', 'classes')} in this order: "
            f"{', '.join(found) or 'none'}; {CLASSES} has {len(given)}: {', '.join(given)}. "
            "Give one name for each, in its order, or leave it out"
        )
    return tuple(given)


def labelled(
    image: Path, rgb: ByteArray, objects: Masks, source: Path, ignore: BoolArray | None = None
) -> Labelled:
    """The picture with its objects, if both are of one size.

    Raises:
        FileFormatError: they are not; both files are named.
    """
    height, width = rgb.shape[:2]
    size = objects.size
    if (size.height, size.width) != (height, width):
        turned = (size.height, size.width) == (width, height)
        hint = "its mask was drawn on the picture unturned: turn it as EXIF says" if turned else ""
        raise FileFormatError(
            f"{image} is {width}x{height}, its mask in {source} {size.width}x{size.height}: "
            f"expected the same size ({hint or 'find out which was resized, and do not stretch'})"
        )
    return Labelled(rgb, objects, ignore)
