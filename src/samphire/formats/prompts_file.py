"""Files of prompts for many pictures: what ``samphire segment --prompts`` reads.

Three formats, each in its file: a table (``prompts_csv.py``), our own JSON (``prompts_json.py``),
COCO's instances (``prompts_coco.py``). The suffix tells JSON from tables where it is known, else
the first letter does; JSON is COCO's where it has annotations.
"""

import json
from pathlib import Path
from typing import Any

from samphire.errors import FileFormatError
from samphire.formats import prompts_coco, prompts_csv, prompts_json
from samphire.formats.prompt_records import PromptsFile

# COCO's own instances_train2017.json has 449 MB.
MAX_BYTES = 1 << 29
TABLES = frozenset({".csv", ".tsv", ".txt"})


def load_prompts(path: str | Path) -> PromptsFile:
    """Read a file of prompts.

    Raises:
        FileFormatError: it is not one; the line or the record is named.
        OSError: it cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        if len(data) > MAX_BYTES:
            raise FileFormatError(f"it has more than {MAX_BYTES:,} bytes: split it")
        text = _text(data)
        if not text.strip():
            raise FileFormatError("it is empty: expected boxes or points")
        if path.suffix.lower() == ".json" or (
            path.suffix.lower() not in TABLES and text.lstrip()[0] in "{["
        ):
            document = _json(text)
            if prompts_coco.is_coco(document):
                return prompts_coco.parse(document)
            return prompts_json.parse(document)
        return prompts_csv.parse(text)
    except FileFormatError as error:
        raise FileFormatError(f"{path} cannot be used as prompts: {error}") from error
    except RecursionError as error:
        raise FileFormatError(
            f"{path} cannot be used as prompts: its lists lie too deep inside each other"
        ) from error


def _text(data: bytes) -> str:
    """The text of UTF-8, or of UTF-16 that says so."""
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"it is not a text in {encoding.upper().removesuffix('-SIG')} (byte {error.start}): "
            "expected CSV or JSON, saved as UTF-8"
        ) from error
    if "\0" in text:
        raise FileFormatError("it is not a text (it holds zero bytes): expected CSV or JSON")
    return text


def _json(text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise FileFormatError(
            f"line {error.lineno}, column {error.colno}: it is not JSON ({error.msg})"
        ) from error
    except FileFormatError:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise FileFormatError(str(error)) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; the second of two equal keys would silently replace the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise FileFormatError(f"{twice!r:.60} is there twice in one record")
    return made


def _refuse(constant: str) -> Any:  # noqa: ANN401 - never returns
    raise FileFormatError(f"{constant} is not a finite number")
