"""Which layout data is in, and its list of samples; no picture is opened.

A layout is a file beside this one with a function ``find(path, classes)``, which gives None for
what is not its own. The first that knows the path has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from samphire.errors import FileFormatError
from samphire.formats.recognise import recognise
from samphire.images.window import Window
from samphire.samples import coco, folders, labelme, table, volumes, yolo
from samphire.samples.sample import DataSet

Find = Callable[[Path, tuple[str, ...]], DataSet | None]

# The more telling first: a table says more than folders do. In words for a person, and the finder.
LAYOUTS: tuple[tuple[str, Find], ...] = (
    ("a CSV or JSONL table with the columns image and mask", table.find),
    ("NIfTI volumes in images/ and labels/, or nnU-Net's imagesTr/ and labelsTr/", volumes.find),
    ("COCO's JSON of instances with its pictures", coco.find),
    ("YOLO's images/ and labels/", yolo.find),
    ("labelme's JSON files beside their pictures", labelme.find),
    ("folders images/ and masks/, or a.jpg with a_mask.png", folders.find),
)


def open_data(
    path: str | Path, *, classes: Sequence[str] = (), window: Window | None = None
) -> DataSet:
    """The list of what lies at a path.

    Args:
        path: a folder, or the file that lists its pictures.
        classes: names of the classes, the first for label 1. For mask files they say that numbers
            are classes; elsewhere they replace the names found, one for one (``DataSet.named``
            still has those).
        window: which intensities of volumes become black and white; None: the percentiles 0.5 and
            99.5 of each. Refused for pictures.

    Returns:
        The data set, with a note on everything that was left out.

    Raises:
        FileFormatError: the layout is not known, nothing can be used, ``classes`` do not fit, or
            there is a window for pictures.
        FileNotFoundError: there is nothing at the path.
    """
    root = Path(path)
    if isinstance(classes, str):
        raise FileFormatError(f"classes is the text {classes!r}: expected a list of names")
    if not root.exists():
        raise FileNotFoundError(
            f"{root} does not exist: expected a folder or file of labelled data"
        )
    names = tuple(classes)
    for _, find in LAYOUTS:
        # volumes alone have intensities to choose from
        found = volumes.find(root, names, window) if find is volumes.find else find(root, names)
        if found is not None:
            _check_window(window, found)
            notes = (*found.notes, *_passed_over(root, found))
            return replace(found, name=found.name or root.resolve().name, notes=notes)
    known = "; ".join(words for words, _ in LAYOUTS)
    raise FileFormatError(f"{root} holds {_held(root)}: expected one of these: {known}")


def _check_window(window: Window | None, found: DataSet) -> None:
    if window is not None and not found.window:
        raise FileFormatError(
            f"{found.name} holds pictures ({found.layout}), whose greys are taken as they are: the "
            f"window {window} is for NIfTI volumes; leave it out"
        )


def _passed_over(root: Path, found: DataSet) -> tuple[str, ...]:
    """What else tells of masks beside a table, which had the word."""
    if found.layout != table.LAYOUT or root.is_file():
        return ()
    others = [each.name for each in sorted(root.glob("*.json")) if recognise(each)]
    if not others:
        return ()
    return (f"Read by its table; give the path of {', '.join(others)} to read that instead.",)


def _held(root: Path) -> str:
    """What lies there, in a few words."""
    if root.is_file():
        return f"a {root.suffix or 'file without a suffix'} that lists no pictures"
    names = [each.name + "/" * each.is_dir() for each in sorted(root.iterdir())]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "nothing"
