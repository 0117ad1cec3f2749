"""Prompts as JSON: a record a picture, in the words of ``samphire.segment``.

    {"photo.jpg": {"boxes": [[60, 40, 480, 300], [500, 20, 640, 200]], "names": ["dog", "cat"]},
     "street/1.jpg": {"points": [[520, 375], [10, 20]], "labels": [1, 0]},
     "mixed.jpg": [{"points": [[520, 375]], "names": ["door"]}, {"boxes": [[60, 40, 480, 300]]}]}

A record holds ``points``, ``labels`` and ``boxes`` by the grammar of ``prompts.py``, and ``names``,
one an object. A picture may have a list of records. A file that is one record, or a list of
records, is for every picture.
"""

from typing import Any

from samphire.errors import FileFormatError, SamphireError
from samphire.formats.prompt_records import (
    NamedPrompts,
    PromptsFile,
    finite,
    object_name,
    picture_name,
)
from samphire.prompts import ObjectPrompt, Prompts

KEYS = frozenset({"points", "labels", "boxes", "names"})


def parse(document: Any) -> PromptsFile:  # noqa: ANN401 - whatever the file holds
    """The prompts of a parsed JSON file.

    Raises:
        FileFormatError: it is not as above; the record is named.
    """
    if isinstance(document, list) or (isinstance(document, dict) and KEYS & document.keys()):
        return PromptsFile(shared=_records(document, "the record"))
    if not isinstance(document, dict) or not document:
        raise FileFormatError(
            'it holds no pictures: expected {"photo.jpg": {"boxes": [[x0, y0, x1, y1]]}}, or one '
            "such record"
        )
    images: dict[str, NamedPrompts] = {}
    for given, value in document.items():
        name = picture_name(given, "a record")
        if name in images:
            raise FileFormatError(f"{name!r:.60} is there twice")
        images[name] = _records(value, f"{name!r:.60}")
    return PromptsFile(images)


def _records(value: object, where: str) -> NamedPrompts:
    """The objects of one record, or of a list of records."""
    records = value if isinstance(value, list) else [value]
    objects: list[tuple[ObjectPrompt, str, int]] = []
    for index, record in enumerate(records):
        objects += _record(record, f"{where}[{index}]" if isinstance(value, list) else where)
    if not objects:
        raise FileFormatError(f"{where}: it has no object: expected points or boxes")
    return NamedPrompts.of(objects)


def _record(record: object, where: str) -> list[tuple[ObjectPrompt, str, int]]:
    if not isinstance(record, dict) or not record or record.keys() - KEYS:
        found = ", ".join(map(str, record)) if isinstance(record, dict) else repr(record)
        raise FileFormatError(
            f"{where} holds {found or 'nothing':.80}: expected a record of "
            f"{', '.join(sorted(KEYS))}"
        )
    for key in ("points", "labels", "boxes"):
        if key in record:
            _check_numbers(record[key], f"{where}, {key}")
    try:
        prompts = Prompts.of(record.get("points"), record.get("labels"), record.get("boxes"))
    except SamphireError as error:
        raise FileFormatError(f"{where}: {error}") from error
    if not len(prompts) or any(item.is_empty for item in prompts.objects):
        raise FileFormatError(f"{where}: an object without points and box")
    names = record.get("names", [""] * len(prompts))
    if not isinstance(names, list) or len(names) != len(prompts):
        raise FileFormatError(
            f"{where}: names are {names!r:.80}: expected a list with one for each of "
            f"{len(prompts)} objects"
        )
    return [
        (item, object_name(name, where), 0)
        for item, name in zip(prompts.objects, names, strict=True)
    ]


def _check_numbers(value: object, where: str) -> None:
    """Refuse what is not a list, nested or not, of finite numbers."""
    if not isinstance(value, list):
        raise FileFormatError(f"{where}: {value!r:.60} is not a list")
    for item in value:
        if isinstance(item, list):
            _check_numbers(item, where)
        else:
            finite(item, where)
