"""What a prompts file says, and the checks that its three formats share.

Not for reading files: ``prompts_file.py`` is the door, ``prompts_csv.py``, ``prompts_json.py`` and
``prompts_coco.py`` are the formats.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from samphire.errors import FileFormatError
from samphire.geometry import Size
from samphire.prompts import ObjectPrompt, Prompts

# How far a box may reach over the edge and still be taken for rounding, in pixels.
ROUNDING = 1.0
MAX_NAME = 1000


@dataclass(frozen=True, eq=False)
class NamedPrompts:
    """Prompts for one picture, with what each object is called.

    Attributes:
        prompts: in pixels of the picture.
        names: one an object; empty where it has none.
        labels: one an object, the id of its class; 0 where it has none.
    """

    prompts: Prompts
    names: tuple[str, ...]
    labels: tuple[int, ...]

    @classmethod
    def of(cls, objects: Iterable[tuple[ObjectPrompt, str, int]]) -> "NamedPrompts":
        """From each object with its name and label."""
        items = list(objects)
        return cls(
            Prompts(tuple(item for item, _, _ in items)),
            tuple(name for _, name, _ in items),
            tuple(label for _, _, label in items),
        )

    def fitted(self, size: Size) -> "NamedPrompts":
        """The same, boxes that reach over the picture's edge by a rounding cut at the edge.

        Detectors and COCO write 640.01 for a picture 640 pixels wide. What reaches further stays
        as it is, to be refused.
        """
        low, high = np.zeros(4), np.array([size.width, size.height] * 2, np.float64)

        def cut(item: ObjectPrompt) -> ObjectPrompt:
            if item.box is None:
                return item
            box = np.clip(item.box, low, high)
            rounding = np.abs(box - item.box).max() <= ROUNDING
            lies_outside = box[0] >= box[2] or box[1] >= box[3]
            return replace(item, box=box) if rounding and not lies_outside else item

        return replace(self, prompts=Prompts(tuple(map(cut, self.prompts.objects))))


@dataclass(frozen=True, eq=False)
class PromptsFile:
    """All that a prompts file says.

    Attributes:
        images: prompts by the name of the picture, with ``/`` between folders.
        shared: prompts for every picture, where the file names none.
        notes: what was left out, in words for a person.
    """

    images: dict[str, NamedPrompts] = field(default_factory=dict)
    shared: NamedPrompts | None = None
    notes: tuple[str, ...] = ()


def picture_name(given: object, where: str) -> str:
    r"""The name of a picture, in one spelling.

    Raises:
        FileFormatError: it is none.

    >>> picture_name("scans\\a.png", "line 2")
    'scans/a.png'
    """
    if not isinstance(given, str) or not given.strip() or "\0" in given or len(given) > MAX_NAME:
        raise FileFormatError(f"{where}: {given!r:.60} is not the name of a picture")
    name = given.strip().replace("\\", "/").removeprefix("./")
    if PurePosixPath(name).name in {"", ".."}:
        raise FileFormatError(f"{where}: {given!r:.60} is a folder: expected the name of a picture")
    return name


def object_name(given: object, where: str) -> str:
    """What an object is called.

    Raises:
        FileFormatError: it is not a text.
    """
    if not isinstance(given, str) or len(given) > MAX_NAME:
        raise FileFormatError(
            f"{where}: the name {given!r:.60} is not a text of at most {MAX_NAME} characters"
        )
    return given.strip()


def finite(given: Any, where: str) -> float:  # noqa: ANN401 - whatever the file holds
    """A number of a JSON file.

    Raises:
        FileFormatError: it is not one, or not finite.
    """
    number = math.nan
    if isinstance(given, int | float) and not isinstance(given, bool):
        try:
            number = float(given)
        except OverflowError:
            number = math.inf
    if not math.isfinite(number):
        raise FileFormatError(f"{where}: {given!r:.60} is not a finite number")
    return number


def counted(count: int, one: str, many: str) -> str:
    """A count with its noun.

    >>> counted(1, "column", "columns"), counted(2, "column", "columns")
    ('1 column', '2 columns')
    """
    return f"{count:,} {one if count == 1 else many}"
