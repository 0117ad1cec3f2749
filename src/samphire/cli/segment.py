"""``samphire segment``: images and prompts -> masks in files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.outputs import STREAM, names_one_file
from samphire.cli.parsing import (
    BOX,
    POINT,
    device_option,
    force_option,
    json_option,
    model_option,
    offline_option,
)
from samphire.errors import SamphireError

if TYPE_CHECKING:
    from samphire.batch.local import Task
    from samphire.formats import Format
    from samphire.prompts import Prompts


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGE|FOLDER|-...")
@click.option("--point", "points", type=POINT, multiple=True, help="A click on the object.")
@click.option(
    "--background-point", "background", type=POINT, multiple=True, help="A click beside the object."
)
@click.option("--box", "boxes", type=BOX, multiple=True, help="A box; several are several objects.")
@click.option("--mask", metavar="FILE", help="A picture of a rough mask: white on black.")
@click.option(
    "--multimask/--no-multimask",
    default=None,
    help="Three readings of the prompt, or one. Default: the best one.",
)
@click.option(
    "--output", metavar="PATH", help="A file, a folder, or - for stdout. Default: this folder."
)
@click.option(
    "--format", "format_names", metavar="NAMES", help="png, json, or both: png,json. Default: png."
)
@click.option("--overlay", is_flag=True, help="Also write a picture with the masks drawn on it.")
@model_option
@device_option
@click.option(
    "--max-pixels", type=int, default=100_000_000, show_default=True, help="Refuse larger images."
)
@force_option
@json_option
@offline_option
def segment(  # noqa: PLR0913, PLR0917 - one parameter an option
    inputs: tuple[str, ...],
    points: tuple[tuple[float, float], ...],
    background: tuple[tuple[float, float], ...],
    boxes: tuple[tuple[float, ...], ...],
    mask: str | None,
    multimask: bool | None,
    output: str | None,
    format_names: str | None,
    overlay: bool,
    model: str,
    device: str,
    max_pixels: int,
    force: bool,
    as_json: bool,
    offline: bool,
) -> int:
    """Masks of the object you point at, in images and folders.

    \b
    Examples:
      samphire segment photo.jpg --point 520,375
      samphire segment photo.jpg --box 60,40,480,300 --format png,json --overlay
      samphire segment scans/ --point 300,300 --output masks/

    All points are one object; boxes are one object each. Coordinates are pixels of the original
    image, x to the right and y down. A folder run that was stopped goes on when the same command
    is given again.
    """
    # Everything that can be wrong is checked before the model is loaded.
    prompts = _prompts(points, background, boxes, mask)
    formats = _formats(format_names, output)
    _check_inputs(inputs)
    if output == STREAM and (as_json or overlay):
        raise click.UsageError("--output - is the masks alone: leave out --json and --overlay")
    folder = _folder(inputs, output)
    tasks = None if folder is None else _tasks(inputs, folder)

    from samphire.cli.segment_run import Options, segment_many, segment_one
    from samphire.engines.load import load

    options = Options(prompts, formats, overlay, multimask, max_pixels, force, as_json)
    engine = load(model, device=device, offline=offline)
    if folder is not None and tasks is not None:
        return segment_many(engine, tasks, options, folder)
    return segment_one(engine, inputs[0], options, output)


def _prompts(
    points: tuple[tuple[float, float], ...],
    background: tuple[tuple[float, float], ...],
    boxes: tuple[tuple[float, ...], ...],
    mask: str | None,
) -> "Prompts":
    """The prompts of the options, checked as far as they can be without an image."""
    from samphire.images.read import read_image
    from samphire.prompts import Prompts

    clicks = [*points, *background]
    if not clicks and not boxes and mask is None:
        raise click.UsageError(
            "there is nothing to segment: give --point X,Y, --box X0,Y0,X1,Y1 or --mask FILE"
        )
    try:
        return Prompts.of(
            points=clicks or None,
            labels=[1] * len(points) + [0] * len(background) if clicks else None,
            boxes=boxes or None,
            mask=None if mask is None else read_image(mask)[:, :, 0] > 127,
        )
    except SamphireError as error:
        raise click.UsageError(str(error)) from error


def _formats(names: str | None, output: str | None) -> tuple["Format", ...]:
    """The formats by name, by the output's suffix, or PNG (JSON for stdout)."""
    from samphire.formats import FORMATS, format_of

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
    return (FORMATS["png"],)


def _check_inputs(inputs: tuple[str, ...]) -> None:
    missing = [given for given in inputs if given != STREAM and not Path(given).exists()]
    if missing:
        raise click.UsageError(f"{', '.join(missing)}: no such file or folder")
    if STREAM in inputs and len(inputs) > 1:
        raise click.UsageError("- (stdin) is one image: give it alone")


def _folder(inputs: tuple[str, ...], output: str | None) -> Path | None:
    """The output folder of a run over many images; None for a single image."""
    if len(inputs) == 1 and not Path(inputs[0]).is_dir():
        return None
    if output is None:
        raise click.UsageError("several images need a folder for the masks: give --output FOLDER")
    if output == STREAM or Path(output).is_file():
        raise click.UsageError(f"--output {output}: several images need a folder for the masks")
    if any(Path(given).resolve() == Path(output).resolve() for given in inputs):
        raise click.UsageError(
            f"--output {output} is the folder of the images: masks would be taken for images; "
            "choose another"
        )
    return Path(output)


def _tasks(inputs: tuple[str, ...], folder: Path) -> list["Task"]:
    from samphire.batch.local import find_tasks
    from samphire.images.read import IMAGE_SUFFIXES

    tasks = find_tasks([Path(given) for given in inputs], IMAGE_SUFFIXES, folder)
    if not tasks:
        raise click.UsageError(
            f"no images in {', '.join(inputs)}: expected files that end in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return tasks
