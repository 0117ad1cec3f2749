"""The file of splits: JSON to be kept with the data, read by people and compared by git.

    {"format": "samphire-splits", "version": 1, "samphire": "0.1.0",
     "seed": 0, "fractions": [0.7, 0.15, 0.15],
     "train": [{"id": "images/0001.png", "group": "patient 7", "sha256": "9f86d0..."}],
     "val": [...], "test": [...]}

``seed`` and ``fractions`` are null where the data itself said the splits.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samphire import atomic
from samphire.errors import FileFormatError
from samphire.samples.split import SPLITS, Member, Splits

FORMAT, VERSION = "samphire-splits", 1
FIELDS = ("id", "group", "sha256")


def save_splits(path: Path, splits: Splits) -> None:
    """Write the file, whole or not at all; the same splits give the same bytes.

    A file that is there is replaced: who must not lose one looks first.
    """
    parts = {
        split: [
            dict(zip(FIELDS, (each.id, each.group, each.content), strict=True))
            for each in sorted(splits.members(split), key=lambda member: member.id)
        ]
        for split in SPLITS
    }
    head = {
        "format": FORMAT,
        "version": VERSION,
        "samphire": version("samphire"),
        "seed": splits.seed,
        "fractions": splits.fractions,
    }
    text = json.dumps(head | parts, indent=1, ensure_ascii=False)
    atomic.write_bytes(path, text.encode() + b"\n")


def load_splits(path: Path) -> Splits:
    """Read the file back; :func:`~samphire.samples.split.check_splits` compares it with the data.

    Raises:
        FileFormatError: it is not such a file, or of a newer version.
    """
    try:
        return _splits(json.loads(path.read_bytes()))
    except FileFormatError as error:
        raise FileFormatError(f"{path} holds {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FileFormatError(
            f"{path} is not a file of splits ({type(error).__name__}: {error}): expected the JSON "
            "that Samphire writes"
        ) from error


def _splits(document: dict[str, Any]) -> Splits:
    if document["format"] != FORMAT:
        raise FileFormatError(f"the format {document['format']!r}: expected {FORMAT!r}")
    if document["version"] > VERSION:
        raise FileFormatError(
            f"version {document['version']} of {FORMAT}, and this Samphire reads up to {VERSION}; "
            "upgrade it"
        )
    seed, fractions = document["seed"], document["fractions"]
    if fractions is not None:
        train, val, test = (float(each) for each in fractions)
        fractions = (train, val, test)
    parts = {split: tuple(_member(record) for record in document[split]) for split in SPLITS}
    return Splits(None if seed is None else int(seed), fractions, **parts)


def _member(record: dict[str, Any]) -> Member:
    values = [record[field] for field in FIELDS]
    if not all(isinstance(value, str) for value in values):
        raise FileFormatError(f"the sample {values!r}: expected texts for {', '.join(FIELDS)}")
    return Member(*values)
