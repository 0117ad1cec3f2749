"""The notes in an adapter's file, without its tensors: checked before a model is loaded.

Read without PyTorch. Not for using an adapter (``adapter_file.py``), which checks its digest, too.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from samphire.errors import AdapterError

FORMAT, VERSION = "samphire-adapter", "1"


@dataclass(frozen=True)
class AdapterSummary:
    """What an adapter says it is.

    Attributes:
        base: name of the model that it was trained on.
        classes: names of its classes, the background apart; none without.
        window: of the volumes that it was trained on; empty for pictures.
    """

    base: str
    classes: tuple[str, ...]
    window: str = ""


def read_summary(path: Path) -> AdapterSummary:
    """What a file says it is.

    Raises:
        AdapterError: it is another file, damaged at its head, or of a newer Samphire.
        OSError: it cannot be read.
    """
    with path.open("rb"):  # safetensors does not say which file is missing
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            notes: dict[str, str] = file.metadata() or {}
    except SafetensorError as error:
        raise AdapterError(f"{path} is damaged or no safetensors file: {error}") from error
    check_notes(notes, path)
    try:
        classes = json.loads(notes["adaptation"])["classes"]
        names = tuple(str(name) for name in classes)
        return AdapterSummary(notes["base"], names, notes["window"])
    except (KeyError, TypeError, ValueError) as error:
        raise AdapterError(f"{path} says {FORMAT} and is not it: {error}") from error


def check_notes(notes: dict[str, str], path: Path) -> None:
    """Refuse the notes of another file, and of a newer version.

    Raises:
        AdapterError: they are.
    """
    if notes.get("format") != FORMAT:
        raise AdapterError(
            f"{path} holds {notes.get('format') or 'tensors'}: expected an adapter, as samphire "
            "tune writes it"
        )
    if notes.get("version") != VERSION:
        raise AdapterError(
            f"{path} is version {notes.get('version')!r} of {FORMAT}: this Samphire reads "
            f"{VERSION}; upgrade it"
        )
