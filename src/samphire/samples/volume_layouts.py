"""Which files of a folder are one case: pairs of volumes, a table, or nnU-Net's raw layout.

Looks at names, ``split.csv`` and ``dataset.json``; opens no volume (``nifti.py``).

Source: nnU-Net's ``documentation/dataset_format.md`` (version 2, and the labels of version 1 as the
Medical Segmentation Decathlon has them).
"""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from samphire.errors import FileFormatError
from samphire.samples.nifti import SUFFIXES
from samphire.samples.sample import Split


@dataclass(frozen=True)
class Case:
    """One volume and its labels.

    Attributes:
        name: unique in the data set.
        channels: number of each channel and its file; one, 0, where nothing tells channels apart.
        label: the file of its labels.
        group: what a split keeps together.
        split: where the data says so.
    """

    name: str
    channels: tuple[tuple[int, Path], ...]
    label: Path
    group: str
    split: Split | None = None


@dataclass(frozen=True)
class Layout:
    """What was found.

    Attributes:
        words: how it was recognised.
        cases: at least one.
        classes: names of the classes from 1, where a file has them.
        ignore: the label that counts neither way.
        channel_names: names of the channels from 0, where a file has them.
        notes: what was left out or decided.
    """

    words: str
    cases: tuple[Case, ...]
    classes: tuple[str, ...] = ()
    ignore: int | None = None
    channel_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_layout(folder: Path) -> Layout:
    """The cases of a folder.

    Raises:
        FileFormatError: it has none of the layouts, no case with labels, or a damaged table.
    """
    if (folder / "imagesTr").is_dir():
        found = _nnunet(folder)
    elif (folder / "split.csv").is_file():
        found = _table(folder)
    elif (folder / "images").is_dir() and (folder / "labels").is_dir():
        found = _pairs(folder)
    else:
        raise FileFormatError(
            f"{folder} has no labelled volumes: expected folders images/ and labels/ with .nii or "
            ".nii.gz files of the same names, a split.csv that lists them, or nnU-Net's imagesTr/, "
            "labelsTr/ and dataset.json"
        )
    if not found.cases:
        raise FileFormatError(
            f"{folder} ({found.words}) has no volume with labels: expected .nii or .nii.gz files "
            f"in pairs; {' '.join(found.notes) or 'no volume was found'}"
        )
    names = Counter(case.name for case in found.cases)
    images = Counter(path for case in found.cases for _, path in case.channels)
    twice = [name for name, count in names.items() if count > 1]
    twice += [path.name for path, count in images.items() if count > 1]
    if twice:
        raise FileFormatError(
            f"{folder} has two cases of {listed(twice)}: expected names and images once, with one "
            "file of labels each"
        )
    return found


def listed(names: Sequence[str]) -> str:
    """The first few of them.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _pairs(folder: Path) -> Layout:
    labels = _volumes(folder / "labels")
    images = _volumes(folder / "images")
    cases = tuple(
        Case(name, ((0, path),), labels[name], group=name)
        for name, path in images.items()
        if name in labels
    )
    return Layout("NIfTI volumes in images/ and labels/", cases, notes=_alone(images, labels))


def _table(folder: Path) -> Layout:
    table = folder / "split.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{table} cannot be read as a table: {error}") from error
    cases, missing = [], []
    for number, row in enumerate(rows, start=2):
        case = _row_case(folder, row, f"{table.name}, line {number}")
        paths = [*(path for _, path in case.channels), case.label]
        absent = [path.name for path in paths if not path.is_file()]
        missing += absent
        if not absent:
            cases.append(case)
    notes = (f"Left out, for their files are missing: {listed(missing)}.",) if missing else ()
    return Layout("NIfTI volumes listed in split.csv", tuple(cases), notes=notes)


def _row_case(folder: Path, row: dict[str, Any], where: str) -> Case:
    image, label = row.get("image"), row.get("mask") or row.get("label")
    if not image or not label:
        raise FileFormatError(
            f"{where} has no image or no mask: expected columns image and mask (or label), with "
            "paths relative to the table"
        )
    absolute = Path(image).is_absolute() or Path(label).is_absolute()
    if absolute or not (image.endswith(SUFFIXES) and label.endswith(SUFFIXES)):
        raise FileFormatError(
            f"{where} lists {image} and {label}: expected .nii or .nii.gz files, by paths relative "
            "to the table"
        )
    split = row.get("split") or None
    if split is not None and split not in get_args(Split):
        raise FileFormatError(
            f"{where} has the split {split!r}: expected one of {', '.join(get_args(Split))}"
        )
    name = row.get("id") or _stem(Path(image))
    group = row.get("group") or name
    return Case(name, ((0, folder / image),), folder / label, group, split)


def _nnunet(folder: Path) -> Layout:
    classes, ignore, channel_names, notes = _dataset_json(folder / "dataset.json")
    cases: list[Case] = []
    # Which of imagesTr train and which validate, the layout does not say; imagesTs only test.
    halves: tuple[tuple[str, Split | None], ...] = (("Tr", None), ("Ts", "test"))
    for half, split in halves:
        labels = _volumes(folder / f"labels{half}")
        images: defaultdict[str, dict[int, Path]] = defaultdict(dict)
        for stem, path in _volumes(folder / f"images{half}").items():
            numbered = None if stem in labels else re.fullmatch(r"(.+)_(\d{4})", stem)
            name, channel = numbered.groups() if numbered else (stem, "0")
            images[name][int(channel)] = path
        notes += _alone(images, labels)
        cases += [
            Case(name, tuple(sorted(channels.items())), labels[name], name, split)
            for name, channels in images.items()
            if name in labels
        ]
    return Layout("nnU-Net raw data", tuple(cases), classes, ignore, channel_names, notes)


def _dataset_json(
    path: Path,
) -> tuple[tuple[str, ...], int | None, tuple[str, ...], tuple[str, ...]]:
    """Classes, the label to ignore, names of channels, and notes; empty where there is no file."""
    if not path.is_file():
        return (), None, (), ()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        given = document.get("channel_names") or document.get("modality") or {}
        channel_names = tuple(str(given[key]) for key in sorted(given, key=int))
        # version 2 maps names to values, version 1 values to names
        values = [
            (int(key), str(value)) if isinstance(value, str) else (value, str(key))
            for key, value in document["labels"].items()
        ]
        ignore = next((int(value) for value, name in values if name == "ignore"), None)
        regions = [name for value, name in values if isinstance(value, list)]
        names = {int(value): name for value, name in values if not isinstance(value, list)}
        parts = [int(part) for value, _ in values if isinstance(value, list) for part in value]
        numbers = {*names, *parts} - {0, ignore}
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise FileFormatError(
            f"{path} is not nnU-Net's dataset.json ({type(error).__name__}: {error}): expected "
            '"labels" like {"background": 0, "liver": 1} and "channel_names" like {"0": "CT"}'
        ) from error
    wrong = [number for number in numbers if not 0 < number < (ignore or 256)]
    if wrong:
        raise FileFormatError(
            f"{path} has the label {wrong[0]}: expected 1 to 255, and below that of ignore"
        )
    classes = tuple(names.get(k, str(k)) for k in range(1, max(numbers, default=0) + 1))
    said = f"Regions are not read, their parts are classes of their own: {listed(regions)}."
    return classes, ignore, channel_names, (said,) if regions else ()


def _alone(images: Sequence[str] | dict[str, Any], labels: dict[str, Path]) -> tuple[str, ...]:
    """Notes about what has no partner."""
    unlabelled = [name for name in images if name not in labels]
    unseen = [name for name in labels if name not in images]
    notes = []
    if unlabelled:
        notes.append(f"Left out, {len(unlabelled)} without labels: {listed(unlabelled)}.")
    if unseen:
        notes.append(f"Left out, {len(unseen)} labels without an image: {listed(unseen)}.")
    return tuple(notes)


def _volumes(folder: Path) -> dict[str, Path]:
    """NIfTI files by name without suffix, sorted; hidden files are none."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    volumes: dict[str, Path] = {}
    for path in paths:
        if path.name.endswith(SUFFIXES) and not path.name.startswith("."):
            other = volumes.setdefault(_stem(path), path)
            if other != path:
                raise FileFormatError(
                    f"{folder} has {other.name} and {path.name}: expected one of them"
                )
    return volumes


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
