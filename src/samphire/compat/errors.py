"""What compat refuses, as the builtin that code written for the original expects.

They belong to this room alone; all other errors are in ``samphire/errors.py``.
"""

from samphire.errors import SamphireError


class ContractError(SamphireError, AssertionError):
    """An argument on which the original has an ``assert``."""


class ImageNotSetError(SamphireError, RuntimeError):
    """A prompt or an embedding was asked for before a picture was set."""


class NamesTakenError(SamphireError, ImportError):
    """Another package of that name is already imported."""
