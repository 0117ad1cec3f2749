"""Which format of masks a file is in, by its content, where many share a suffix.

Not for reading: it looks at the words of a JSON document's first level, no deeper.
"""

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
    """The name of the format of a JSON file; None for all other files, whose suffix tells.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if not file.read(64).lstrip().startswith(b"{"):
            return None
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    for name, keys in JSON_KEYS:
        if keys <= document.keys():
            return name
    return None
