"""``samphire everything``: images -> all their masks in files, without prompts."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from samphire.cli.engine_choice import EngineChoice
from samphire.cli.inputs import (
    Reading,
    check_pictures,
    find_images,
    is_one_image,
    output_folder,
    own_folder_name,
)
from samphire.cli.outputs import STREAM
from samphire.cli.parsing import (
    Bytes,
    adapter_option,
    cache_options,
    device_option,
    force_option,
    image_options,
    jobs_option,
    json_option,
    model_option,
    offline_option,
    variant_option,
)

if TYPE_CHECKING:
    from samphire.predict.everything_settings import EverythingSettings

LAYOUTS = ("samphire", "segment-anything")


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGE|FOLDER|-...")
@click.option(
    "--output",
    metavar="PATH",
    help="A file, a folder, or - for stdout. Default: this folder; for a folder of images, "
    "NAME-masks in this one.",
)
@click.option(
    "--format",
    "format_names",
    metavar="NAMES",
    help="json, coco, labelme, label-map, ...; several with commas. Default: json.",
)
@click.option(
    "--overlay/--no-overlay",
    default=True,
    help="A picture with the masks drawn on it. Default: on.",
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default="samphire",
    show_default=True,
    help="segment-anything: the files of its scripts/amg.py; with --format json its RLE files.",
)
@click.option(
    "--preset",
    type=click.Choice(["fast", "default", "thorough"]),
    default="default",
    show_default=True,
    help="fast asks 0.29 of the points, where the picture differs; thorough looks at crops, too.",
)
@click.option("--points-per-side", type=click.IntRange(1, 4096), help="Of the grid.  [default: 32]")
@click.option("--crop-layers", type=click.IntRange(0, 8), help="Crops to look at, too: 4, 16, ...")
@click.option("--min-predicted-iou", type=float, help="Of masks to keep.  [default: 0.88]")
@click.option("--min-stability", type=click.FloatRange(0, 1), help="The same.  [default: 0.95]")
@click.option(
    "--min-region-area",
    type=click.IntRange(min=0),
    metavar="PIXELS",
    help="Fill smaller holes, drop smaller separate parts.",
)
@click.option(
    "--no-duplicates",
    is_flag=True,
    help="Of masks with an IoU above 0.9, keep the better one; boxes alone decide otherwise.",
)
@click.option("--hierarchy", is_flag=True, help="Say which masks are parts of which.")
@click.option(
    "--max-memory", type=Bytes(), metavar="SIZE", help="Of all processes, for example 2GB."
)
@jobs_option
@model_option
@adapter_option
@variant_option
@device_option
@image_options
@cache_options
@force_option
@json_option
@offline_option
def everything(  # noqa: PLR0913, PLR0917 - one parameter an option
    inputs: tuple[str, ...],
    output: str | None,
    format_names: str | None,
    overlay: bool,
    layout: str,
    preset: str,
    points_per_side: int | None,
    crop_layers: int | None,
    min_predicted_iou: float | None,
    min_stability: float | None,
    min_region_area: int | None,
    no_duplicates: bool,
    hierarchy: bool,
    max_memory: int | None,
    jobs: int,
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
    """All masks of images and folders, without prompts.

    \b
    Examples:
      samphire everything photo.jpg
      samphire everything photos/ --format coco,labelme --jobs 2
      samphire everything photos/ --preset fast --output out/ && samphire view out/

    A grid of points asks for masks everywhere; the good ones are kept. A folder run that was
    stopped goes on when the same command is given again. With --format coco a folder also becomes
    one file, instances.json.
    """
    # Everything that can be wrong is checked before the model is loaded.
    check_pictures(inputs)
    settings = _settings(
        preset,
        {
            "points_per_side": points_per_side,
            "crop_layers": crop_layers,
            "min_predicted_iou": min_predicted_iou,
            "min_stability": min_stability,
            "min_region_area": min_region_area,
            "mask_nms_iou": 0.9 if no_duplicates else None,
        },
    )
    if layout == "segment-anything":
        format_names, overlay = _published_format(format_names), False
    if output == STREAM and as_json:
        raise click.UsageError("--output - is the masks alone: leave out --json")
    one = is_one_image(inputs)
    folder = None if one else output_folder(inputs, output or own_folder_name(inputs), "masks")
    engine = EngineChoice(model, adapter, variant, device, offline)
    engine.check(window)

    from samphire.cli.everything_run import finder, in_words, journal_settings
    from samphire.cli.mask_files import formats_by_name
    from samphire.cli.mask_run import MaskJob, run_many, run_one

    processes = 1 if one else jobs
    job = MaskJob(
        engine=engine,
        find=finder(settings, parts=hierarchy, max_memory=max_memory, processes=processes),
        settings=journal_settings(settings, parts=hierarchy),
        formats=tuple(kind.name for kind in formats_by_name(format_names, output, "json")),
        overlay="ids" if overlay and output != STREAM else None,
        reading=Reading(max_pixels, page, window),
        max_cache=None if no_cache else max_cache,
    )
    if folder is None:
        return run_one(job, inputs[0], output, in_words, force=force, as_json=as_json)
    return run_many(
        job,
        find_images(inputs, folder, embeddings=False),
        folder,
        in_words,
        jobs=jobs,
        threads=max(1, (os.cpu_count() or 1) // jobs),
        force=force,
        as_json=as_json,
    )


def _settings(preset: str, given: dict[str, Any]) -> "EverythingSettings":
    """A preset with what was given instead."""
    from samphire.predict.everything_settings import PRESETS

    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return replace(PRESETS[preset], **chosen)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _published_format(names: str | None) -> str:
    """The format behind ``--layout segment-anything``: PNG files, or run lengths."""
    if names not in {None, "png", "json"}:
        raise click.UsageError(
            f"--layout segment-anything has --format png or json, not {names}: leave it out"
        )
    return "segment-anything-rle" if names == "json" else "segment-anything"
