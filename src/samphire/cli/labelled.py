"""Labelled data as commands open it, by the names of classes that were given.

Not for the layouts, which are ``samples/``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from samphire.images.window import Window
    from samphire.samples import DataSet


def open_labelled(path: Path, classes: tuple[str, ...], window: "Window | None") -> "DataSet":
    """The data set, if the names given are those that the data itself has for its classes.

    ``open_data`` lets a program call classes as it likes; typed at a terminal another name is a
    mistake, which nothing later would notice. What the data only numbers may be called anything.

    Raises:
        UsageError: the data calls a class otherwise.
    """
    from samphire.formats.labelme import UNNAMED
    from samphire.samples.find import open_data

    dataset = open_data(path, classes=classes, window=window)
    # data that names none has fewer; UNNAMED stands for none in files that Samphire wrote
    other = [
        (own, name)
        for own, name in zip(dataset.named, dataset.classes, strict=False)
        if own not in (name, UNNAMED) and not own.isdecimal()
    ]
    if other:
        raise click.UsageError(
            f"{path} has the classes {', '.join(dataset.named)}, and the names given would call "
            f"{', '.join(f'{own} {name}' for own, name in other)}: give the names that it has "
            "(--classes), or leave them out"
        )
    return dataset
