"""One HTML page to look through masks on their pictures: everything in one file, no network.

Pictures go in as they are given (small JPEGs), masks as COCO's run lengths at the picture's shown
size. The page's own parts, ``page.html``, ``page.css`` and ``page.js``, lie beside this file. Not
for editing, and not for reading back.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from samphire.formats import records
from samphire.geometry import Size
from samphire.masks import Masks
from samphire.masks.colours import mask_colours
from samphire.masks.resize import resize

# By this a page of ours is known, and may be replaced.
GENERATOR = '<meta name="generator" content="samphire view">'


@dataclass(frozen=True, eq=False)
class Entry:
    """One picture of the page.

    Attributes:
        name: what to call it.
        masks: on the picture at its own size.
        jpeg: of the picture, shrunk to ``shown``; None where there is none.
        shown: size in the page.
    """

    name: str
    masks: Masks
    jpeg: bytes | None
    shown: Size


def page(entries: Iterable[Entry], title: str) -> bytes:
    """The page.

    Args:
        entries: its pictures, in order.
        title: of the page.

    Returns:
        UTF-8; the same for the same entries.
    """
    data = {"pictures": [_record(entry) for entry in entries]}
    # "<" could end the script; as an escape it is the same text to JSON
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "TITLE": title.replace("&", "&amp;").replace("<", "&lt;"),
        "GENERATOR": GENERATOR,
        "STYLE": _part("page.css"),
        "DATA": text,
        "SCRIPT": _part("page.js"),
    }
    made = _part("page.html")
    for name, value in parts.items():
        made = made.replace(f"%{name}%", value, 1)
    return made.encode()


def _part(name: str) -> str:
    return (files("samphire.formats") / name).read_text(encoding="utf-8")


def _record(entry: Entry) -> dict[str, Any]:
    shown = resize(entry.masks, entry.shown)
    colours = mask_colours(entry.masks.boxes, entry.masks.size)
    return {
        "name": entry.name,
        "width": entry.shown.width,
        "height": entry.shown.height,
        "original": str(entry.masks.size),
        "jpeg": None if entry.jpeg is None else base64.b64encode(entry.jpeg).decode(),
        "masks": [
            {
                "counts": records.segmentation(shown, index)["counts"],
                "box": shown.boxes[index].tolist(),
                "colour": colours[index],
                "area": int(entry.masks.area[index]),
                "original_box": entry.masks.boxes[index].tolist(),
                **records.columns(entry.masks, index),
            }
            for index in range(len(shown))
        ],
    }
