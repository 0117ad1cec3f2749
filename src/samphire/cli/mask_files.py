"""Masks of one image into files, for every command that makes masks: formats, overlay, records."""

import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from samphire import atomic
from samphire.arrays import ByteArray
from samphire.batch.task import Product, Task
from samphire.cli.outputs import STREAM, Target, names_one_file
from samphire.errors import SamphireError
from samphire.formats import FORMATS, Format, Picture, encode_masks, format_of
from samphire.masks import Masks


def formats_by_name(names: str | None, output: str | None, usual: str) -> tuple[Format, ...]:
    """The formats by name, or the one of the output's suffix, or the usual one."""
    try:
        if names is not None:
            chosen = tuple(format_of("", name) for name in dict.fromkeys(names.split(",")))
            if len(chosen) > 1 and output is not None and names_one_file(output):
                raise click.UsageError(f"--output {output} is one file: name a folder for {names}")
            return chosen
        if output == STREAM:
            return (FORMATS["json"],)
        if output is not None and names_one_file(output):
            return (format_of(output),)
    except SamphireError as error:
        raise click.UsageError(str(error)) from error
    return (FORMATS[usual],)


def picture_of(image: Path | bytes, name: str, target: Target, rgb: ByteArray | None) -> Picture:
    """What files of masks say about the picture; of one on stdin they know the pixels alone."""
    if isinstance(image, bytes):
        return Picture(rgb=rgb)
    link = os.path.relpath(os.path.abspath(image), os.path.abspath(target.stem.parent))
    return Picture(name, Path(link).as_posix(), rgb)


def paths(target: Target, count: int, formats: Iterable[Format], *, overlay: bool) -> list[Path]:
    """The files that so many masks of one image become."""
    files = [path for kind in formats for path in kind.paths(target.masks(kind.suffix), count)]
    return [*files, target.overlay] if overlay else files


def contents(
    masks: Masks,
    target: Target,
    formats: Iterable[Format],
    picture: Picture,
    overlay: bytes | None,
) -> tuple[tuple[Path, bytes], ...]:
    """The same files with their bytes, nothing written yet; ``overlay`` is the bytes of a PNG."""
    files = [
        file
        for kind in formats
        for file in encode_masks(masks, target.masks(kind.suffix), kind, picture)
    ]
    if overlay is not None:
        files.append((target.overlay, overlay))
    return tuple(files)


def losses(masks: Masks, formats: Iterable[Format]) -> list[str]:
    """What these masks lose in these formats, in words."""
    return [loss for kind in formats for loss in kind.losses(masks)]


def say_losses(task: Task, product: Product) -> None:
    """Tell, before it is written, what the masks of an image lose."""
    for loss in product.record["losses"]:
        tqdm.write(f"{task.name}: {loss}", file=sys.stderr)


def combine_files(formats: Iterable[Format], targets: Iterable[Target], folder: Path) -> list[Path]:
    """Write the one file of all images, for formats that have one, from the files of each."""
    made = []
    for kind in formats:
        if kind.combine is not None:
            files = [target.masks(kind.suffix) for target in targets]
            path = folder / kind.combined
            atomic.write_bytes(path, kind.combine([file.read_bytes() for file in files]))
            made.append(path)
    return made


def scores(masks: Masks, index: int) -> dict[str, Any]:
    """What JSON tells about one mask; the box is x0, y0, x1, y1, and a score may be None."""
    return {
        "prompt_index": int(masks.prompt_index[index]),
        "candidate": int(masks.candidate[index]),
        "predicted_iou": _score(masks.predicted_iou[index]),
        "stability_score": _score(masks.stability[index]),
        "area": int(masks.area[index]),
        "box": [int(edge) for edge in masks.boxes[index]],
        "label": int(masks.label[index]),
        "name": masks.name[index],
    }


def _score(value: float) -> float | None:
    """JSON has no NaN, which is what a mask has for a score that nobody gave it."""
    return None if math.isnan(value) else round(float(value), 6)
