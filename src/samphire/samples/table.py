"""A table that lists pictures and mask files: CSV, or JSONL with an object a line.

    id,image,mask,split,group,class
    p001,images/p001.jpg,masks/p001.png,train,patient7,polyp

Paths are relative to the table. Columns but image and mask may be missing or empty, and others are
passed over. An image in several rows has a mask of each; ``class`` is the class of a row's mask.
What the numbers in the files mean: ``mask_files.py``. Volumes in a table are not for here.
"""

import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

from samphire.errors import FileFormatError
from samphire.samples.folders import NUMBERS_ARE_OBJECTS
from samphire.samples.mask_files import read_masked
from samphire.samples.reading import class_names, left_out, sentences, split_of
from samphire.samples.sample import DataSet, Sample

LAYOUT = "table of images and masks"
SUFFIXES = (".csv", ".jsonl")
VOLUMES = (".nii", ".nii.gz")

Row = dict[str, str]


def find(path: Path, classes: tuple[str, ...]) -> DataSet | None:
    """The data set of a table, or of a folder that holds one; None if it is of another layout.

    Raises:
        FileFormatError: the folder holds several, or no row of the table can be used.
    """
    if path.is_file():
        rows = _rows(path) if path.suffix.lower() in SUFFIXES else None
        return _data_set(path, path.name, rows, classes) if rows else None
    tables = {
        file: rows
        for file in sorted(path.iterdir())
        if file.suffix.lower() in SUFFIXES and file.is_file() and (rows := _rows(file))
    }
    if len(tables) > 1:
        raise FileFormatError(
            f"{path} holds {len(tables)} tables of images and masks, "
            f"{', '.join(file.name for file in tables)}: expected one (give its own path, or put "
            "all rows in one with a column split)"
        )
    return next((_data_set(file, path.name, rows, classes) for file, rows in tables.items()), None)


def _rows(table: Path) -> list[Row] | None:
    """The rows; None if it is no table of pictures and masks."""
    try:
        text = table.read_text("utf-8-sig")
        rows = _json_rows(text) if table.suffix.lower() == ".jsonl" else _csv_rows(text)
    except (ValueError, csv.Error, AttributeError):
        return None
    if not rows or not all({"image", "mask"} <= row.keys() for row in rows):
        return None
    return None if all(row["image"].lower().endswith(VOLUMES) for row in rows) else rows


def _csv_rows(text: str) -> list[Row]:
    found = csv.DictReader(io.StringIO(text, newline=""))
    return [{str(key).strip().lower(): _text(cell) for key, cell in row.items()} for row in found]


def _json_rows(text: str) -> list[Row]:
    found = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [{key.strip().lower(): _text(cell) for key, cell in row.items()} for row in found]


def _text(cell: Any) -> str:  # noqa: ANN401 - what CSV and JSON make of a cell
    return "" if cell is None else str(cell).strip()


def _data_set(table: Path, name: str, rows: list[Row], classes: tuple[str, ...]) -> DataSet:
    folder = table.parent
    usable: list[Row] = []
    missing: list[Row] = []
    for row in rows:
        there = all(row[key] and _file(folder, row[key]).is_file() for key in ("image", "mask"))
        (usable if there else missing).append(row)
    found = sorted({row["class"] for row in usable if row.get("class")})
    bare = [row for row in usable if found and not row.get("class")]
    names = class_names(found, classes, str(table)) if found else classes
    by_image: dict[str, list[Row]] = {}
    for row in usable:
        if row.get("class") or not found:
            by_image.setdefault(row["image"], []).append(row)
    torn = [
        image
        for image, own in by_image.items()
        if any(len({row.get(key, "") for row in own}) > 1 for key in ("split", "group"))
    ]
    kept = [own for image, own in by_image.items() if image not in torn]
    ids = _ids(kept)
    words = {row.get("split", "") for own in kept for row in own}
    unknown = sorted(word for word in words if word and split_of(word) is None)
    notes = sentences(
        left_out([row["image"] for row in missing], "whose files are missing", ("row", "rows")),
        left_out([row["image"] for row in bare], "without a class", ("row", "rows")),
        left_out(torn, "in two splits or groups at once"),
        f"Splits not known and passed over: {', '.join(unknown)}." if unknown else "",
        "" if names else NUMBERS_ARE_OBJECTS,
    )
    if not kept:
        raise FileFormatError(
            f"{table} has no row that can be used. {' '.join(notes)} Expected columns image and "
            "mask with paths relative to it"
        )
    labels = {each: place for place, each in enumerate(found, 1)}
    samples = [
        _sample(folder, known, own, labels, names) for known, own in zip(ids, kept, strict=True)
    ]
    return DataSet(
        name=name,
        layout=LAYOUT,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
        classes=names,
        named=tuple(found),
        notes=notes,
    )


def _ids(kept: list[list[Row]]) -> list[str]:
    """The column id where it is one an image, and no two are equal; else the image's path."""
    ids = [own[0].get("id", "") for own in kept if len(own) == 1]
    if len(set(ids)) == len(kept) and all(ids):
        return ids
    return [own[0]["image"] for own in kept]


def _sample(
    folder: Path, known: str, own: list[Row], labels: dict[str, int], names: tuple[str, ...]
) -> Sample:
    image = _file(folder, own[0]["image"])
    masks = tuple(_file(folder, row["mask"]) for row in own)
    numbers = tuple(labels[row["class"]] for row in own) if labels else ()
    return Sample(
        id=known,
        group=own[0].get("group", "") or known,
        files=(image, *dict.fromkeys(masks)),
        read=partial(read_masked, image, masks, numbers, names),
        split=split_of(own[0].get("split", "")),
    )


def _file(folder: Path, text: str) -> Path:
    return folder / text.replace("\\", "/")
