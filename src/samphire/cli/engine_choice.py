"""Which engine a command asks for: a model, what it wears, where it runs.

A value, so that worker processes open the same; nothing is loaded before :meth:`EngineChoice.load`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.inputs import check_model

if TYPE_CHECKING:
    from samphire.engines.base import Engine
    from samphire.weights.adapter_notes import AdapterSummary


@dataclass(frozen=True)
class EngineChoice:
    """The options of the same names; see ``samphire.load``."""

    model: str
    adapter: str | None
    variant: str | None
    device: str
    offline: bool

    def check(self, window: tuple[float, float] | None) -> None:
        """Refuse what cannot be loaded, or not be used with pictures read in this window.

        Args:
            window: low and high as given; None without.
        """
        check_model(self.model)
        if self.adapter is not None:
            _check_window(window, adapter_summary(self.adapter).window)

    def load(self) -> "Engine":
        """The engine."""
        from samphire.engines.load import load

        return load(
            self.model,
            adapter=self.adapter,
            variant=self.variant,
            device=self.device,
            offline=self.offline,
        )


def _check_window(given: tuple[float, float] | None, trained: str) -> None:
    """Refuse another window than the adapter's; percentiles come to other ends in each volume."""
    from samphire.images.window import parse_window

    if given is None or not trained:
        return
    own = parse_window(trained)
    if not own.percentile and given != (own.low, own.high):
        raise click.UsageError(
            f"the adapter was trained in the window {own}, and --window is {given[0]:g},"
            f"{given[1]:g}: leave it out, for the adapter brings its own"
        )


def adapter_summary(path: str, given: str = "--adapter") -> "AdapterSummary":
    """What an adapter's file says it is; another file is wrong usage.

    Args:
        path: of the file.
        given: the option or argument that named it, for the message.
    """
    from samphire.errors import AdapterError
    from samphire.weights.adapter_notes import read_summary

    if not Path(path).is_file():
        raise click.UsageError(f"{given}: {path}: no such file")
    try:
        return read_summary(Path(path))
    except AdapterError as error:
        raise click.UsageError(f"{given}: {error}") from error
