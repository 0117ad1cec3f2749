"""``samphire segment``: images and prompts -> masks in files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.engine_choice import EngineChoice
from samphire.cli.inputs import (
    Reading,
    check_pictures,
    find_images,
    is_one_image,
    output_folder,
)
from samphire.cli.outputs import STREAM
from samphire.cli.parsing import (
    BOX,
    POINT,
    adapter_option,
    cache_options,
    device_option,
    force_option,
    image_options,
    json_option,
    model_option,
    offline_option,
    variant_option,
)
from samphire.errors import SamphireError

if TYPE_CHECKING:
    from samphire.cli.prompted_images import PromptedImages
    from samphire.prompts import Prompts


@click.command()
@click.argument("inputs", nargs=-1, metavar="IMAGE|FOLDER|-...")
@click.option("--point", "points", type=POINT, multiple=True, help="A click on the object.")
@click.option(
    "--background-point", "background", type=POINT, multiple=True, help="A click beside the object."
)
@click.option("--box", "boxes", type=BOX, multiple=True, help="A box; several are several objects.")
@click.option("--mask", metavar="FILE", help="A picture of a rough mask: white on black.")
@click.option(
    "--prompts",
    "prompts_file",
    metavar="FILE",
    help="Boxes and points for many images: CSV, JSON, or COCO instances.",
)
@click.option(
    "--multimask/--no-multimask",
    default=None,
    help="Three readings of the prompt, or one. Default: the best one.",
)
@click.option(
    "--output", metavar="PATH", help="A file, a folder, or - for stdout. Default: this folder."
)
@click.option(
    "--format",
    "format_names",
    metavar="NAMES",
    help="png, json, coco, labelme, ...; several with commas. Default: png.",
)
@click.option("--overlay", is_flag=True, help="Also write a picture with the masks drawn on it.")
@model_option
@adapter_option
@variant_option
@device_option
@image_options
@cache_options
@force_option
@json_option
@offline_option
def segment(  # noqa: PLR0913, PLR0917 - one parameter an option
    inputs: tuple[str, ...],
    points: tuple[tuple[float, float], ...],
    background: tuple[tuple[float, float], ...],
    boxes: tuple[tuple[float, ...], ...],
    mask: str | None,
    prompts_file: str | None,
    multimask: bool | None,
    output: str | None,
    format_names: str | None,
    overlay: bool,
    model: str,
    adapter: str | None,
    variant: str | None,
    device: str,
    max_pixels: int,
    page: int,
    window: tuple[float, float] | None,
    no_cache: bool,
    max_cache: int,
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
      samphire segment photos/ --prompts boxes.csv --output masks/

    All points are one object; boxes are one object each. Coordinates are pixels of the original
    image, x to the right and y down. A file of prompts names its images as they are called below
    the folders given, or else below its own. A folder run that was stopped goes on when the same
    command is given again. An image is encoded once: its embedding is kept, for other prompts too.
    """
    # Everything that can be wrong is checked before the model is loaded.
    if not inputs and prompts_file is None:
        raise click.UsageError("no image: give IMAGE, FOLDER, or - for stdin")
    if prompts_file is not None and (points or background or boxes or mask):
        raise click.UsageError("--prompts is all prompts: leave out --point, --box and --mask")
    from samphire.cli.mask_files import formats_by_name

    asked = None
    if prompts_file is None:
        asked = _prompts(points, background, boxes, mask, max_pixels)
    formats = formats_by_name(format_names, output, "png")
    check_pictures(inputs)
    if output == STREAM and (as_json or overlay):
        raise click.UsageError("--output - is the masks alone: leave out --json and --overlay")
    folder = None if is_one_image(inputs) else output_folder(inputs, output, "masks")
    images = _images(inputs, folder, asked, prompts_file)
    choice = EngineChoice(model, adapter, variant, device, offline)
    choice.check(window)

    from samphire.cli.segment_run import Options, check_single, segment_many, segment_one
    from samphire.formats.embedding_cache import EmbeddingCache

    options = Options(
        asked=asked,
        formats=formats,
        overlay=overlay,
        multimask=multimask,
        reading=Reading(max_pixels, page, window),
        cache=None if no_cache else EmbeddingCache(max_bytes=max_cache),
        force=force,
        as_json=as_json,
    )
    if folder is None:
        check_single(images, options, output)
    engine = choice.load()
    if folder is not None:
        return segment_many(engine, images, options, folder)
    return segment_one(engine, images, options, output, stdin=inputs == (STREAM,))


def _images(
    inputs: tuple[str, ...],
    folder: Path | None,
    asked: "Prompts | None",
    prompts_file: str | None,
) -> "PromptedImages":
    """The images with their prompts: the same for all, or those of a file."""
    from samphire.batch.task import Task
    from samphire.cli.prompted_images import pair, read_prompts, with_prompts

    if folder is None:
        tasks = [Task("stdin" if inputs[0] == STREAM else inputs[0], Path(inputs[0]))]
    else:
        tasks = find_images(inputs, folder, embeddings=True) if inputs else []
    if asked is not None:
        return with_prompts(tasks, asked)
    path = str(prompts_file)
    images = pair(read_prompts(path), path, inputs, tasks)
    for note in images.notes:
        click.echo(note, err=True)
    return images


def _prompts(
    points: tuple[tuple[float, float], ...],
    background: tuple[tuple[float, float], ...],
    boxes: tuple[tuple[float, ...], ...],
    mask: str | None,
    max_pixels: int,
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
            mask=None if mask is None else read_image(mask, max_pixels)[:, :, 0] > 127,
        )
    except SamphireError as error:
        raise click.UsageError(str(error)) from error
