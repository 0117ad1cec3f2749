"""The log of a run as TensorBoard shows it: scalars in an event file.

Not the log itself, which is ``log.jsonl`` of the run's folder and is always written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samphire.errors import MissingExtraError


class ScalarWriter:
    """Writes entries of the log; made by :func:`open_writer`."""

    def __init__(self, events: Any) -> None:  # noqa: ANN401 - tensorboardX's SummaryWriter
        self._events = events

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write the numbers of an entry, at its step.

        Args:
            entry: of ``log.jsonl``: one of a step, with ``loss``, or one of an epoch, with what
                the validation measured. Both count in steps, so that their curves lie together.
        """
        room = "train" if "loss" in entry else "validation"
        for name, value in entry.items():
            if name != "step" and isinstance(value, int | float):
                self._events.add_scalar(f"{room}/{name}", value, entry["step"])

    def close(self) -> None:
        """Write out what is waiting."""
        self._events.close()


def open_writer(folder: Path) -> ScalarWriter:
    """A writer of a new event file in ``folder``, which is made.

    Raises:
        MissingExtraError: tensorboardX is not installed.
    """
    try:
        from tensorboardX import (  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
            SummaryWriter,
        )
    except ImportError as error:
        raise MissingExtraError(
            "files for TensorBoard are written by tensorboardX, which is not installed: "
            "pip install 'samphire[tune]'"
        ) from error
    return ScalarWriter(SummaryWriter(str(folder)))
