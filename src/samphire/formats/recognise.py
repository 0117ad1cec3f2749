"""Which format of masks a file is in, by its content, where many share a suffix.

Not for reading: it looks at the words of a JSON document's first level, no deeper.
"""

import codecs
import json
from pathlib import Path

# What a JSON document of each format has on its first level, the more telling first.
JSON_KEYS = (
    ("labelme", {"shapes", "imageHeight"}),
    ("geojson", {"features"}),
    ("coco", {"images", "annotations"}),
    ("json", {"format", "annotations"}),
    ("sa1b", {"image", "annotations"}),
)


def recognise(path: Path) -> str | None:
    """The name of the format of a folder or a JSON file; None for others, whose suffix tells.

    Raises:
        OSError: the file cannot be read.
    """
    if path.is_dir():
        return "segment-anything"
    with path.open("rb") as file:
        start = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"["):
        return "segment-anything-rle"
    if not start.startswith(b"{"):
        return None
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    for name, keys in JSON_KEYS:
        if keys <= document.keys():
            return name
    return None
