"""COCO instances: a JSON, or a folder with one a split, and the pictures that it names.

    instances.json  images/...      annotations/instances_train2017.json  train2017/...
    train/_annotations.coco.json  train/...

The document is read once; each sample carries its own annotations. Categories in order of their id
are labels from 1. Crowds (``iscrowd``) are regions that count neither way. Masks are decoded by
``formats/coco.py``. Source: the COCO data format.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from samphire.errors import FileFormatError
from samphire.formats import coco, records
from samphire.formats.recognise import recognise
from samphire.images.read import read_image
from samphire.masks.algebra import union_all
from samphire.samples.reading import (
    class_names,
    labelled,
    left_out,
    relative,
    roots_of,
    sentences,
    split_of,
    split_of_path,
)
from samphire.samples.sample import DataSet, Labelled, Sample, Split

LAYOUT = "COCO instances"
EXPECTED = "COCO's instances JSON"

Annotation = dict[str, Any]


@dataclass(frozen=True)
class _Found:
    """One picture of a document: where it lies, and its annotations."""

    name: str
    image: Path | None
    source: Path
    record: dict[str, Any]
    annotations: tuple[Annotation, ...]


def find(path: Path, classes: tuple[str, ...]) -> DataSet | None:
    """The data set of a document, or of a folder that holds some; None if of another layout.

    Raises:
        FileFormatError: a document is damaged, two contradict each other, or no picture of theirs
            can be used.
    """
    root = path if path.is_dir() else path.parent
    sources = _documents(path)
    if not sources:
        return None
    categories: dict[int, str] = {}
    found: list[_Found] = []
    for source in sources:
        found += _read_document(source, categories)
    named = tuple(categories[each] for each in sorted(categories))
    names = class_names(named, classes, str(path))
    labels = {known: (place + 1, names[place]) for place, known in enumerate(sorted(categories))}
    samples: dict[str, Sample] = {}
    missing, unmasked, twice = [], [], []
    for each in found:
        if each.image is None:
            missing.append(each.name)
        elif not all(one.get("segmentation") for one in each.annotations):
            unmasked.append(each.name)
        elif relative(root, each.image) in samples:
            twice.append(each.name)
        else:
            samples[relative(root, each.image)] = _sample(root, each.image, each, labels)
    notes = sentences(
        left_out(missing, "not found"),
        left_out(unmasked, "with boxes but no masks"),
        left_out(twice, "named twice"),
    )
    if not samples:
        raise FileFormatError(
            f"{path}: {LAYOUT}, but no picture can be used. {' '.join(notes)} Expected pictures "
            "beside the JSON, in images/, or in a folder called as the split"
        )
    return DataSet(
        name=path.name,
        layout=LAYOUT,
        samples=tuple(samples[key] for key in sorted(samples)),
        classes=names,
        named=named,
        notes=notes,
    )


def read_annotated(
    image: Path,
    source: Path,
    record: dict[str, Any],
    annotations: tuple[Annotation, ...],
    labels: dict[int, tuple[int, str]],
) -> Labelled:
    """A picture and its objects; crowds, where no object is, are ignored.

    Args:
        image: the picture.
        source: the document, for messages.
        record: COCO's of the picture.
        annotations: COCO's of its objects.
        labels: label and name of each category by its id.

    Raises:
        ImageError: the picture cannot be read.
        FileFormatError: an annotation is damaged, or sizes differ.
    """
    with records.reading(source, EXPECTED):
        size = records.image_size(record)
        masks = coco.from_annotations(size, list(annotations), labels)
    crowd = np.array([bool(each.get("iscrowd")) for each in annotations], np.bool_)
    objects, ignore = masks[~crowd], None
    if crowd.any():
        ignore = union_all(masks[crowd]).to_array()[0] & ~union_all(objects).to_array()[0]
    return labelled(image, read_image(image), objects, source, ignore)


def _documents(path: Path) -> list[Path]:
    """The documents; of those in a folder, where some are called instances, these."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and recognise(path) == "coco" else []
    folders = [*roots_of(path), path / "annotations"]
    files = [file for folder in folders for file in sorted(folder.glob("*.json"))]
    found = [file for file in files if recognise(file) == "coco"]
    return [file for file in found if file.name.startswith("instances")] or found


def _read_document(source: Path, categories: dict[int, str]) -> Iterator[_Found]:
    """The pictures of a document; its categories are added to those known.

    Raises:
        FileFormatError: it is damaged, or calls a category what another document does not.
    """
    with records.reading(source, EXPECTED):
        document = json.loads(source.read_bytes())
        own: dict[Any, list[Annotation]] = {each["id"]: [] for each in document["images"]}
        listed = {
            each["id"]: str(each.get("name") or each["id"])
            for each in document.get("categories", [])
        }
        for each in document["annotations"]:
            if each["image_id"] not in own:
                raise FileFormatError(
                    f"an annotation of image {each['image_id']}: expected one of its {len(own)} "
                    "images"
                )
            own[each["image_id"]].append(each)
            listed.setdefault(each["category_id"], str(each["category_id"]))
        records.whole(list(listed))
        for known, name in listed.items():
            if categories.setdefault(known, name) != name:
                raise FileFormatError(
                    f"the category {known} called {name!r}, and another document calls it "
                    f"{categories[known]!r}: expected one list of categories"
                )
        for record in document["images"]:
            name = str(record["file_name"])
            image = _picture(source, name)
            yield _Found(name, image, source, record, tuple(own[record["id"]]))


def _picture(source: Path, name: str) -> Path | None:
    """Where a picture lies: beside the JSON or a folder up, in images/, in the split's folder."""
    word = source.stem.rpartition("_")[2]
    folders = ("", "images", word, f"images/{word}")
    places = [base / each / name for base in source.parents[:2] for each in folders]
    return next((place for place in places if place.is_file()), None)


def _sample(root: Path, image: Path, found: _Found, labels: dict[int, tuple[int, str]]) -> Sample:
    known = relative(root, image)
    return Sample(
        id=known,
        group=known,
        files=(image, found.source),
        read=partial(read_annotated, image, found.source, found.record, found.annotations, labels),
        split=_split(root, found.source, known),
    )


def _split(root: Path, source: Path, known: str) -> Split | None:
    words: Sequence[str] = re.split(r"[_.\- ]", source.stem)
    named = next((split for word in words if (split := split_of(word))), None)
    return (
        named
        or split_of_path(Path(known).parent)
        or split_of_path(Path(relative(root, source)).parent)
    )
