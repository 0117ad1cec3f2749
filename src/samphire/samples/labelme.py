"""Labelme: a JSON a picture, which names the picture; the names of the shapes are the classes.

    a.jpg  a.json      or      images/a.jpg  labels/a.json

Labels count the names in alphabetical order. Shapes are filled by ``formats/labelme.py``. A picture
that is only inside of its JSON is not read.
"""

from dataclasses import replace
from functools import partial
from os.path import normpath
from pathlib import Path

import numpy as np

from samphire.errors import FileFormatError
from samphire.formats import labelme
from samphire.formats.recognise import recognise
from samphire.images.read import read_image
from samphire.samples.reading import (
    class_names,
    files_in,
    labelled,
    left_out,
    relative,
    sentences,
    split_of_path,
)
from samphire.samples.sample import DataSet, Labelled, Sample

LAYOUT = "labelme"


def find(path: Path, classes: tuple[str, ...]) -> DataSet | None:
    """The data set of a folder, or of one file; None if it is of another layout.

    Raises:
        FileFormatError: none has its picture.
    """
    root = path if path.is_dir() else path.parent
    files = files_in(path, frozenset({".json"})) if path.is_dir() else [path]
    listed = {file: _listed(file) for file in files if file.suffix.lower() == ".json"}
    known = {file: each for file, each in listed.items() if each is not None}
    if not known:
        return None
    images = {file: image for file, (image, _) in known.items() if image}
    first = {image: file for file, image in reversed(images.items())}
    missing = [relative(root, file) for file in known if file not in images]
    twice = [relative(root, file) for file, image in images.items() if first[image] != file]
    damaged = [relative(root, file) for file in listed if file not in known]
    notes = sentences(
        left_out(missing, "without a picture", ("file", "files")),
        left_out(twice, "about a picture that another is about", ("file", "files")),
        left_out(damaged, "damaged or not labelme's", ("file", "files")),
    )
    if not images:
        raise FileFormatError(
            f"{path}: {LAYOUT}, but no file has its picture. {' '.join(notes)} Expected the "
            "picture where imagePath says, or beside the JSON"
        )
    found = sorted({name for file in first.values() for name in known[file][1]})
    names = class_names(found, classes, str(path))
    labels = {name: place for place, name in enumerate(found, 1)}
    samples = [_sample(root, image, file, labels, names) for image, file in first.items()]
    return DataSet(
        name=path.name,
        layout=LAYOUT,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
        classes=names,
        named=tuple(found),
        notes=notes,
    )


def read_shapes(
    image: Path, file: Path, labels: dict[str, int], classes: tuple[str, ...]
) -> Labelled:
    """A picture and its shapes.

    Args:
        image: the picture.
        file: the JSON.
        labels: label of each name in the JSON.
        classes: names of the labels.

    Raises:
        ImageError: the picture cannot be read.
        FileFormatError: the JSON is damaged, or says another size.
    """
    objects = labelme.read(file)
    numbers = [labels[name or labelme.UNNAMED] for name in objects.name]
    objects = replace(
        objects,
        label=np.array(numbers, np.int32),
        name=tuple(classes[number - 1] for number in numbers),
    )
    return labelled(image, read_image(image), objects, file)


def _listed(file: Path) -> tuple[Path | None, list[str]] | None:
    """The picture and the names in a file; None if it is damaged, or no file of labelme."""
    if recognise(file) != "labelme":
        return None
    try:
        return _picture(file), labelme.names(file)
    except FileFormatError:
        return None


def _picture(file: Path) -> Path | None:
    """Where the picture of a JSON lies: as it says, else of that name beside it or in images/."""
    link = labelme.read_picture(file)
    folder = file.parent
    places = [folder / link.link, folder / link.name, folder.parent / "images" / link.name]
    return next((Path(normpath(place)) for place in places if place.is_file()), None)


def _sample(
    root: Path, image: Path, file: Path, labels: dict[str, int], classes: tuple[str, ...]
) -> Sample:
    known = relative(root, image)
    return Sample(
        id=known,
        group=known,
        files=(image, file),
        read=partial(read_shapes, image, file, labels, classes),
        split=split_of_path(Path(known).parent),
    )
