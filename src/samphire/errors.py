"""Every error that Samphire raises on purpose, and the shape check of its public doors.

    SamphireError
    ├── ShapeError(ValueError)            an array has the wrong shape
    ├── PromptError(ValueError)           a point, box or mask that cannot be used
    ├── ImageError(ValueError)            a picture that cannot be read
    ├── FileFormatError(ValueError)       a file of results that is not what it should be
    ├── OutputExistsError(FileExistsError)  an output that would be overwritten
    ├── EmbeddingMismatchError(ValueError)  an embedding made by another model
    ├── NonFiniteError(ArithmeticError)   the model gave NaN or infinity
    ├── CancelledError(RuntimeError)      the caller asked to stop
    ├── MemoryBudgetError(MemoryError)    the work does not fit into the memory allowed
    ├── WorkerDiedError(RuntimeError)     a process of a run ended by itself
    ├── AdapterError(ValueError)          an adapter that does not fit, or asks for what is not
    ├── DataError(ValueError)             labelled data that cannot be used
    ├── EngineUnavailableError(RuntimeError)  a runtime or device that cannot run here
    ├── MissingExtraError(ImportError)    an optional dependency is not installed
    └── WeightsError(RuntimeError)        weights that cannot be had or used
        ├── FetchError                    no source gave the file
        └── CheckpointError               the file is not the checkpoint it should be

Each is also the builtin that a caller would expect, so ``except ValueError`` works. A message says
what was found, what was expected, and what to do.
"""

from collections.abc import Sequence
from typing import Protocol


class SamphireError(Exception):
    """Base of all errors raised on purpose."""


class ShapeError(SamphireError, ValueError):
    """An array has the wrong shape."""


class PromptError(SamphireError, ValueError):
    """A point, box, label or mask prompt that cannot be used."""


class ImageError(SamphireError, ValueError):
    """A picture that cannot be read."""


class FileFormatError(SamphireError, ValueError):
    """A file of results (masks, embeddings) that is not what it should be."""


class OutputExistsError(SamphireError, FileExistsError):
    """An output file that would be overwritten."""


class EmbeddingMismatchError(SamphireError, ValueError):
    """An embedding that another model, adapter or preprocessing made."""


class NonFiniteError(SamphireError, ArithmeticError):
    """The model gave NaN or infinity."""


class CancelledError(SamphireError, RuntimeError):
    """The caller asked to stop."""


class MemoryBudgetError(SamphireError, MemoryError):
    """The work does not fit into the memory allowed."""


class WorkerDiedError(SamphireError, RuntimeError):
    """A process of a run ended by itself."""


class AdapterError(SamphireError, ValueError):
    """An adapter that does not fit the model, or settings that make none."""


class DataError(SamphireError, ValueError):
    """Labelled data that cannot be used as it is."""


class EngineUnavailableError(SamphireError, RuntimeError):
    """A runtime or device that cannot run here."""


class MissingExtraError(SamphireError, ImportError):
    """An optional dependency is not installed."""


class WeightsError(SamphireError, RuntimeError):
    """Weights that cannot be had or used."""


class FetchError(WeightsError):
    """No source gave the file."""


class CheckpointError(WeightsError):
    """The file is not the checkpoint it should be."""


class HasShape(Protocol):
    """An array of any library."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...


def check_shape(array: HasShape, expected: Sequence[int | str], name: str) -> None:
    """Refuse an array whose shape is not the expected one.

    Args:
        array: anything with a ``shape``.
        expected: one entry an axis: a length, or a letter for any length (the same letter twice
            must be the same length).
        name: what the caller calls the array.

    Raises:
        ShapeError: the number of axes, or the length of one, differs.

    >>> import numpy as np
    >>> check_shape(np.zeros((5, 2)), ("N", 2), "points")
    >>> check_shape(np.zeros((5, 3)), ("N", 2), "points")
    Traceback (most recent call last):
        ...
    samphire.errors.ShapeError: points has shape (5, 3): expected (N, 2)
    """
    found = tuple(array.shape)
    lengths: dict[str, int] = {}
    fits = len(found) == len(expected)
    for length, axis in zip(found, expected, strict=False):
        wanted = lengths.setdefault(axis, length) if isinstance(axis, str) else axis
        fits = fits and length == wanted
    if not fits:
        shown = ", ".join(str(axis) for axis in expected) + ("," if len(expected) == 1 else "")
        raise ShapeError(f"{name} has shape {found}: expected ({shown})")
