"""Where a run stands, on disk: enough to go on as if it had never been stopped.

All chance is keyed by seed, epoch and sample (``evaluation.prompts.generator``), so there is no
state of random numbers to keep: the place in the order of the data is two integers.
"""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from samphire import atomic
from samphire.errors import FileFormatError

VERSION = 1


@dataclass(eq=False)
class RunState:
    """The state of a run; the loop writes to it.

    Attributes:
        run: identity of settings and data: another run does not go on from here.
        epoch: that is under way, from 0.
        batch: of the epoch, that comes next.
        step: optimiser steps done.
        best_score: of the validation, at ``best_epoch`` (counted from 1); NaN before the first.
        best_epoch: 0 before the first.
        tensors: parameters that train.
        optimiser: its state dict.
        scaler: that of the gradient scaler; empty unless float16.
    """

    run: str
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_score: float = float("nan")
    best_epoch: int = 0
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    optimiser: Mapping[str, Any] = field(default_factory=dict)
    scaler: Mapping[str, Any] = field(default_factory=dict)


def save_state(path: Path, state: RunState) -> None:
    """Write the state, whole or not at all.

    Raises:
        OSError: the disk is full, or the folder cannot be written; ``path`` is untouched.
    """
    file = io.BytesIO()
    torch.save({"version": VERSION, **vars(state)}, file)
    atomic.write_bytes(path, file.getvalue())


def load_state(path: Path) -> RunState | None:
    """The state of a run, or None where none has begun.

    Raises:
        FileFormatError: the file is damaged, or of another version.
    """
    if not path.is_file():
        return None
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
        version = found.pop("version")
        if version != VERSION:
            raise FileFormatError(f"{path} is version {version}: this Samphire reads {VERSION}")
        return RunState(**found)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"{path} is damaged, so the run cannot go on from it: delete it to begin again"
        ) from error
