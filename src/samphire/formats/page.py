"""One HTML page over the masks of many pictures: to look at, not to read back.

The page is one file that needs no network: ``page.html`` with ``page.css`` and ``page.js`` in it,
the pictures as JPEGs, and the masks as COCO's run lengths at the size shown. Each picture is a
block of JSON of its own, which the page reads when it shows it:

    {"name": "day1/photo", "file": "photo.jpg", "width": 1600, "height": 1067,
     "original": [1800, 1200], "jpeg": "data:image/jpeg;base64,...",
     "masks": [{"id": 0, "counts": "...", "window": [x0, y0, x1, y1], "box": [x0, y0, x1, y1],
                "area": 4021, "predicted_iou": 0.98, "stability_score": 0.97, "name": "",
                "colour": 0}]}

``counts`` and ``window`` are in shown pixels, ``area`` and ``box`` in those of the original. The
same input gives the same bytes. Not a format of masks (``__init__.py``).
"""

import base64
import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from samphire.formats import records
from samphire.formats.format import Picture
from samphire.images.shrink import jpeg, shrunk
from samphire.masks import Masks, rle
from samphire.masks.colours import COLOURS, colour_numbers, rgb
from samphire.masks.resize import resize

# How a page is known again: it stands at the start of the file.
GENERATOR = '<meta name="generator" content="samphire '
_HEAD = 512


@dataclass(frozen=True, eq=False)
class Sheet:
    """One picture of the page.

    Attributes:
        name: what the page calls it, unique.
        masks: of the picture's own size.
        picture: its pixels, of that size; without them the masks lie on plain ground.
    """

    name: str
    masks: Masks
    picture: Picture


def encode(sheets: Iterable[Sheet], title: str, *, max_side: int = 1600) -> Iterator[bytes]:
    """The bytes of the page, piece by piece, one picture in memory at a time.

    Args:
        sheets: in the order in which the page lists them.
        title: of the page.
        max_side: pictures and masks are shrunk until no side is longer, pixels.
    """
    head, tail = _text("page.html").split("$pictures")
    words = {"title": html.escape(title), "version": version("samphire")}
    start = Template(head).substitute(words, style=_text("page.css"))
    yield start.encode("utf-8", "replace")
    index = []
    for sheet in sheets:
        index.append({"name": sheet.name, "count": len(sheet.masks)} | _ranges(sheet.masks))
        yield _block('class="sheet"', _record(sheet, max_side))
    yield _block(
        'id="index"', {"palette": [rgb(number) for number in range(COLOURS)], "sheets": index}
    )
    scripts = {"masks_script": _text("page_masks.js"), "script": _text("page.js")}
    yield Template(tail).substitute(scripts).encode()


def is_page(path: Path) -> bool:
    """Whether a file is a page that :func:`encode` made, by its generator tag.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(_HEAD)


def _record(sheet: Sheet, max_side: int) -> dict[str, Any]:
    masks, picture = sheet.masks, sheet.picture
    shown = resize(masks, shrunk(masks.size, max_side))
    colour = colour_numbers(shown.boxes)
    pixels = None if picture.rgb is None else base64.b64encode(jpeg(picture.rgb, max_side))
    return {
        "name": sheet.name,
        "file": picture.name,
        "width": shown.size.width,
        "height": shown.size.height,
        "original": [masks.size.width, masks.size.height],
        "jpeg": None if pixels is None else f"data:image/jpeg;base64,{pixels.decode()}",
        "masks": [
            {
                "id": index,
                "counts": rle.to_coco(shown.image_runs(index)),
                "window": shown.boxes[index].tolist(),
                "box": masks.boxes[index].tolist(),
                "area": int(masks.area[index]),
                "predicted_iou": records.number(masks.predicted_iou[index]),
                "stability_score": records.number(masks.stability[index]),
                "name": masks.name[index],
                "colour": int(colour[index]),
            }
            for index in range(len(masks))
        ],
    }


def _ranges(masks: Masks) -> dict[str, list[float] | None]:
    """The least and the most of what the page filters by; None where nothing is known."""
    columns = {
        "predicted_iou": masks.predicted_iou,
        "stability_score": masks.stability,
        "area": masks.area,
    }
    known = {name: values[np.isfinite(values)] for name, values in columns.items()}
    return {
        name: [float(str(values.min())), float(str(values.max()))] if len(values) else None
        for name, values in known.items()
    }


def _block(attribute: str, content: dict[str, Any]) -> bytes:
    """JSON in a script element; no text in it can end the element."""
    text = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" {attribute}>{text}</script>\n'.encode()


def _text(name: str) -> str:
    return files("samphire.formats").joinpath(name).read_text(encoding="utf-8")
