"""Prompts as a table: CSV, one row a box or a point.

    image,x0,y0,x1,y1,label          image,x,y,object,point_label
    photo.jpg,60,40,480,300,dog      photo.jpg,520,375,dog,1
    photo.jpg,500,20,640,200,cat     photo.jpg,700,80,dog,0

- ``image`` is needed, and ``x0,y0,x1,y1`` or ``x,y``, in pixels of the picture; a row fills the
  one or the other, or both. Columns come in any order; others are left out, and that is told.
- Rows of a picture with the same ``object`` are one object: points, and at most one box. Without
  ``object``, a row with a box is an object of its own, and all points of a picture together are
  one object, as on the command line.
- ``point_label`` is 1 on the object (when empty, too) and 0 on the background; ``label`` is the
  object's name.

Separated by commas, semicolons or tabs, whichever the first line shows; with semicolons and tabs a
decimal comma is read too. UTF-8, with or without a byte order mark, or UTF-16 with one; lines end
as they like.
"""

import csv
import io
import math
from dataclasses import dataclass, field

import numpy as np

from samphire.errors import FileFormatError, PromptError
from samphire.formats.prompt_records import (
    NamedPrompts,
    PromptsFile,
    counted,
    object_name,
    picture_name,
)
from samphire.prompts import ObjectPrompt

BOX, POINT = ("x0", "y0", "x1", "y1"), ("x", "y")
COLUMNS = frozenset({"image", *BOX, *POINT, "object", "point_label", "label"})
EXAMPLE = "image,x0,y0,x1,y1 or image,x,y"


@dataclass
class _Object:
    """What the rows read so far say about one object."""

    line: int
    name: str = ""
    box: tuple[float, ...] | None = None
    points: list[tuple[float, ...]] = field(default_factory=list)
    point_labels: list[int] = field(default_factory=list)


def parse(text: str) -> PromptsFile:
    """The prompts of a table.

    Raises:
        FileFormatError: the table is not as above; the line is named.
    """
    delimiter = _delimiter(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    images: dict[str, dict[object, _Object]] = {}
    try:
        header = [title.strip().lower() for title in next(reader, [])]
        _check_header(header)
        for values in reader:
            where = f"line {reader.line_num}"
            row = _row(header, values, where)
            if row:
                _add(images, row, where, reader.line_num, decimal_comma=delimiter != ",")
    except csv.Error as error:
        raise FileFormatError(f"line {reader.line_num}: {error}") from error
    if not images:
        raise FileFormatError("it has no row below its header: expected a box or a point a row")
    left_out = [title or "(without a title)" for title in header if title not in COLUMNS]
    note = f"{counted(len(left_out), 'column', 'columns')} left out: {', '.join(left_out):.200}"
    return PromptsFile(
        images={image: _finished(objects) for image, objects in images.items()},
        notes=(note,) if left_out else (),
    )


def _delimiter(header: str) -> str:
    """The first of the separators that the header holds most often."""
    return max(",;\t", key=header.count)


def _check_header(header: list[str]) -> None:
    known = [title for title in header if title in COLUMNS]
    twice = {title for title in known if known.count(title) > 1}
    if twice:
        raise FileFormatError(f"line 1: the column {', '.join(sorted(twice))} is there twice")
    coordinates = [all(title in known for title in titles) for titles in (BOX, POINT)]
    if "image" not in known or not any(coordinates):
        raise FileFormatError(
            f"line 1: the columns are {', '.join(header)!r:.200}: expected a header with {EXAMPLE}"
        )


def _row(header: list[str], values: list[str], where: str) -> dict[str, str]:
    """The known columns that a row fills; nothing for an empty line."""
    if len(values) > len(header) and any(value.strip() for value in values[len(header) :]):
        raise FileFormatError(
            f"{where}: {len(values)} values for {len(header)} columns (a separator inside a value "
            "needs quotes around the value)"
        )
    return {
        title: value.strip()
        for title, value in zip(header, values, strict=False)
        if title in COLUMNS and value.strip()
    }


def _add(
    images: dict[str, dict[object, _Object]],
    row: dict[str, str],
    where: str,
    line: int,
    *,
    decimal_comma: bool,
) -> None:
    """Add a row to the object it speaks of."""
    image = picture_name(row.get("image", ""), where)
    box = _numbers(row, BOX, where, decimal_comma=decimal_comma)
    point = _numbers(row, POINT, where, decimal_comma=decimal_comma)
    if box is None and point is None:
        raise FileFormatError(f"{where}: it has neither a box (x0,y0,x1,y1) nor a point (x,y)")
    # numbers and None cannot be the text of a cell
    key = row.get("object", line if box is not None else None)
    item = images.setdefault(image, {}).setdefault(key, _Object(line))
    if box is not None:
        if item.box is not None:
            raise FileFormatError(f"{where}: a second box for object {key!r}: expected one at most")
        item.box = _checked(box, where)
    if point is not None:
        item.points.append(point)
        item.point_labels.append(_point_label(row.get("point_label", "1"), where))
    name = object_name(row.get("label", ""), where)
    if name and item.name and name != item.name:
        raise FileFormatError(f"{where}: its object is called {item.name!r} on an earlier line")
    item.name = item.name or name


def _numbers(
    row: dict[str, str], titles: tuple[str, ...], where: str, *, decimal_comma: bool
) -> tuple[float, ...] | None:
    """The numbers of these columns; None where the row fills none of them."""
    given = {title: row[title] for title in titles if title in row}
    if not given:
        return None
    if len(given) < len(titles):
        missing = ", ".join(title for title in titles if title not in given)
        raise FileFormatError(f"{where}: {missing} is empty")
    numbers = []
    for title, text in given.items():
        try:
            number = float(text.replace(",", ".") if decimal_comma else text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise FileFormatError(f"{where}: {title} is {text!r:.40}: expected a finite number")
        numbers.append(number)
    return tuple(numbers)


def _checked(box: tuple[float, ...], where: str) -> tuple[float, ...]:
    try:
        ObjectPrompt(np.zeros((0, 2)), np.zeros(0, np.int32), np.array(box))
    except PromptError as error:
        raise FileFormatError(f"{where}: {error}") from error
    return box


def _point_label(text: str, where: str) -> int:
    if text not in {"0", "1"}:
        raise FileFormatError(
            f"{where}: point_label is {text!r:.40}: expected 1 on the object, 0 on the background"
        )
    return int(text)


def _finished(objects: dict[object, _Object]) -> NamedPrompts:
    """The objects of one picture. Points without an object beside boxes would be a guess."""
    if None in objects and any(item.box is not None for item in objects.values()):
        raise FileFormatError(
            f"line {objects[None].line}: a point of a picture that has boxes too: say in a column "
            "object which rows belong together"
        )
    return NamedPrompts.of(
        (
            ObjectPrompt(
                points=np.array(item.points, np.float64).reshape(-1, 2),
                labels=np.array(item.point_labels, np.int32),
                box=None if item.box is None else np.array(item.box),
            ),
            item.name,
            0,
        )
        for item in objects.values()
    )
