"""What ``samphire tune`` settles by looking at the data: the classes, and so all settings."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from samphire.cli.labelled import open_labelled
from samphire.images.window import Window
from samphire.samples import DataSet
from samphire.tuning.settings import TuneSettings, given_classes, make_settings

SIDE = re.compile(r"(?i)(?<![^\W\d_])(left|right)(?![^\W\d_])")


def data_and_settings(
    data: Path, given: Mapping[str, Any], window: Window | None
) -> tuple[DataSet, TuneSettings]:
    """The data as the task needs it; classes that it names need not be given.

    Args:
        data: folder or file.
        given: settings, as ``make_settings`` takes them.
        window: of volumes, or None.

    Raises:
        UsageError: the task needs names of classes, and nobody says any; or the data has others.
        AdapterError: the settings cannot be.
    """
    classes = given_classes(given)
    dataset = open_labelled(data, classes, window)
    if not classes and given.get("task") in ("semantic", "both"):
        if not dataset.classes:
            raise click.UsageError(
                f"{data} does not name its classes: give --classes, for example --classes polyp"
            )
        given = {**given, "classes": list(dataset.classes)}
    settings = make_settings(given)
    notes = (*dataset.notes, *sides(settings))
    return replace(dataset, notes=notes), settings


def sides(settings: TuneSettings) -> tuple[str, ...]:
    """A note on classes that tell left from right, where mirrored pictures would teach both alike.

    Tasks without classes of their own have none: whatever a prompt points at is the answer.
    """
    named = [name for name in settings.adaptation.classes if SIDE.search(name)]
    if not named or settings.augment == "none":
        return ()
    return (
        f'Classes that name a side: {", ".join(named)}. augment = "{settings.augment}" mirrors '
        "and turns pictures, so left would be taught as right, too: where the side cannot be "
        'seen but by its place, set augment = "none" in the file of --config.',
    )
