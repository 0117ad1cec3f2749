"""YOLO's segmentation data: a text file of polygons a picture.

    images/train/a.jpg   labels/train/a.txt   data.yaml       (or train/images, train/labels)
    a.jpg  a.txt  classes.txt                                 in one folder

Class number k in a file is label k + 1. Names come from ``data.yaml`` or ``classes.txt``; without,
the numbers used are the names. Of the YAML only ``names`` is read, the folders say the splits. An
empty text file is a picture without objects. Lines are read by ``formats/yolo.py``.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from samphire.errors import FileFormatError
from samphire.formats import yolo
from samphire.images.read import read_image
from samphire.samples.reading import (
    IMAGE_FOLDERS,
    by_stem,
    class_names,
    files_in,
    folder_called,
    labelled,
    left_out,
    relative,
    roots_of,
    sentences,
    split_of_path,
)
from samphire.samples.sample import DataSet, Labelled, Sample

LAYOUT = "YOLO polygons"
TEXT = frozenset({".txt"})
YAML = (".yaml", ".yml")
NAME_FILES = ("classes.txt", "obj.names")


def find(path: Path, classes: tuple[str, ...]) -> DataSet | None:
    """The data set of a folder, or of its ``data.yaml``; None if it is of another layout.

    Raises:
        FileFormatError: no picture has a text file of its name.
    """
    if path.is_file() and path.suffix.lower() not in YAML:
        return None
    root = path if path.is_dir() else path.parent
    named = _names(path)
    folders = _folders(root, mixed=named is not None)
    if not folders:
        return None
    images: dict[Path, Path] = {}
    bare: list[str] = []
    lost: list[str] = []
    twins: list[str] = []
    for pictures, texts in folders:
        image_of, taken = by_stem(root, pictures, files_in(pictures))
        text_of, _ = by_stem(root, texts, _texts(texts))
        images |= {image: text_of[stem] for stem, image in image_of.items() if stem in text_of}
        bare += [relative(root, file) for stem, file in image_of.items() if stem not in text_of]
        lost += [relative(root, file) for stem, file in text_of.items() if stem not in image_of]
        twins += taken
    notes = sentences(
        left_out(lost, "without a picture", ("text", "texts")),
        left_out(bare, "without a text file (an empty one says: no objects)"),
        left_out(twins, "with the name of another, save the suffix,"),
    )
    if not images:
        raise FileFormatError(
            f"{root}: {LAYOUT}, but no picture has a text file of its name. {' '.join(notes)} "
            "Expected images/a.jpg with labels/a.txt, or both in one folder with classes.txt"
        )
    used = named if named is not None else classes or _numbers(list(images.values()))
    names = class_names(used, classes, str(root))
    samples = [_sample(root, image, text, names) for image, text in images.items()]
    return DataSet(
        name=path.name,
        layout=LAYOUT,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
        classes=names,
        named=tuple(named or ()),
        notes=notes,
    )


def read_lines(image: Path, text: Path, classes: tuple[str, ...]) -> Labelled:
    """A picture and the objects of its text file.

    Raises:
        ImageError: the picture cannot be read.
        FileFormatError: a line is no polygon, or of a class that has no name.
    """
    rgb = read_image(image)
    height, width = rgb.shape[:2]
    objects = yolo.read(text, f"{width}x{height}")
    wrong = sorted({int(label) for label in objects.label if not 0 <= label < len(classes)})
    if wrong:
        raise FileFormatError(
            f"{text} holds the class {wrong[0]}: expected 0 to {len(classes) - 1}, for "
            f"{len(classes)} classes ({', '.join(classes)})"
        )
    names = tuple(classes[label] for label in objects.label)
    return labelled(image, rgb, replace(objects, label=objects.label + 1, name=names), text)


def _folders(root: Path, *, mixed: bool) -> list[tuple[Path, Path]]:
    """Folders of pictures and of their text files; the same one twice if ``mixed`` allows it."""
    apart = [
        (images, labels)
        for each in roots_of(root)
        if (images := folder_called(each, IMAGE_FOLDERS))
        and (labels := folder_called(each, ("labels",)))
        and _texts(labels)
    ]
    if apart or not mixed:
        return apart
    return [(root, root)] if _texts(root) else []


def _texts(folder: Path) -> list[Path]:
    return [file for file in files_in(folder, TEXT) if file.name not in NAME_FILES]


def _names(path: Path) -> list[str] | None:
    """The names of the classes that a YAML or a text file tells; None if there is none."""
    root = path if path.is_dir() else path.parent
    yamls = [path] if path.is_file() else [each for kind in YAML for each in root.glob(f"*{kind}")]
    for file in sorted(yamls):
        found = names_in_yaml(file.read_text("utf-8-sig", "replace"))
        if found:
            return found
    lists = [root / name for name in NAME_FILES if (root / name).is_file()]
    if not lists:
        return None
    return [line.strip() for line in lists[0].read_text("utf-8-sig").splitlines() if line.strip()]


def names_in_yaml(text: str) -> list[str]:
    r"""The entries of ``names`` in the YAML of a data set, as people write it; empty if none.

    A list or a table from numbers, in a block or in brackets; no more of YAML than that.

    >>> names_in_yaml("names:\n  0: cat\n  1: 'sea lion'  # both\nnc: 2")
    ['cat', 'sea lion']
    >>> names_in_yaml("nc: 2\nnames: [cat, dog]")
    ['cat', 'dog']
    """
    lines = [re.sub(r"(^|\s)#.*$", "", line).rstrip() for line in text.splitlines()]
    start = next((place for place, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        return []
    rest = lines[start].removeprefix("names:").strip()
    if rest:
        while not rest.endswith(("]", "}")) and start + 1 < len(lines):
            start += 1
            rest += lines[start]
        entries = rest.strip("[]{} ").split(",")
    else:
        entries = []
        for line in lines[start + 1 :]:
            if line and not line.startswith((" ", "\t", "-")):
                break
            entries.append(line.strip().removeprefix("- "))
    keyed = [re.fullmatch(r"(?:(\d+)\s*:\s*)?(.+)", entry.strip()) for entry in entries]
    found = [(int(each[1] or place), each[2]) for place, each in enumerate(keyed) if each]
    return [name.strip().strip("'\"") for _, name in sorted(found)]


def _numbers(texts: Sequence[Path]) -> list[str]:
    """The classes that the files use, named by their numbers from 0 on."""
    lines = (line.split() for text in texts for line in text.read_text("utf-8-sig").splitlines())
    used = {int(words[0]) for words in lines if words and words[0].isdecimal()}
    return [str(number) for number in range(max(used, default=-1) + 1)]


def _sample(root: Path, image: Path, text: Path, classes: tuple[str, ...]) -> Sample:
    known = relative(root, image)
    return Sample(
        id=known,
        group=known,
        files=(image, text),
        read=partial(read_lines, image, text, classes),
        split=split_of_path(Path(known).parent),
    )
