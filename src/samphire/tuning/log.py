"""The log of a run: JSON lines, one a step and one a validation.

{"step": 3, "epoch": 1, "loss": 0.7, "learning_rate_share": 0.1, "gradient_norm": 2.0, ...}
{"epoch": 1, "step": 29, "score": 0.5, "dice_semantic": 0.5}
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samphire.tuning import processes
from samphire.tuning.state import RunState


class Log:
    """A file of JSON lines; what a stopped run wrote after its last saved state is taken back."""

    def __init__(
        self,
        path: Path,
        state: RunState,
        on_entry: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self._path = path
        self._on_entry = on_entry
        if not processes.is_first():
            return
        kept = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = _entry(line)
                after_epoch = "loss" not in entry and entry.get("epoch", 0) > state.epoch
                if entry and entry["step"] <= state.step and not after_epoch:
                    kept.append(line)
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, entry: dict[str, Any]) -> None:
        """Add a line, and hand it on."""
        if self._on_entry is not None:
            self._on_entry(entry)
        if processes.is_first():
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log, in order."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [entry for entry in map(_entry, lines) if entry]


def _entry(line: str) -> dict[str, Any]:
    """A line of the log; empty for one that was being written when the run was killed."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return entry
