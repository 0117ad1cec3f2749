"""``samphire predict``: images -> the classes of an adapter in files, without prompts."""

import os

import click

from samphire.cli.engine_choice import EngineChoice, adapter_summary
from samphire.cli.inputs import (
    Reading,
    check_there,
    find_images,
    is_one_image,
    output_folder,
    own_folder_name,
    volumes_in,
)
from samphire.cli.outputs import STREAM
from samphire.cli.parsing import (
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


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGE|VOLUME|FOLDER|-...")
@click.option(
    "--adapter", required=True, metavar="FILE", help="An adapter with classes, of samphire tune."
)
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
    help="json, coco, label-map, ...; several with commas. Default: json.",
)
@click.option("--overlay", is_flag=True, help="Also write a picture with the classes drawn on it.")
@jobs_option
@model_option
@variant_option
@device_option
@image_options
@cache_options
@force_option
@json_option
@offline_option
def predict(  # noqa: PLR0913, PLR0917 - one parameter an option
    inputs: tuple[str, ...],
    adapter: str,
    output: str | None,
    format_names: str | None,
    overlay: bool,
    jobs: int,
    model: str,
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
    """The classes that an adapter was tuned for, in images and folders, without prompts.

    \b
    Examples:
      samphire predict photo.jpg --adapter polyps.safetensors --overlay
      samphire predict slides/ --adapter tissue.safetensors --format label-map --output maps/
      samphire predict scans/ --adapter organs.safetensors --output labels/    (.nii, .nii.gz)

    Each pixel belongs to one class or to the background. A class that no pixel belongs to is told
    as not found and left out of the files; the values of a label map count all classes from 1. A
    folder run that was stopped goes on when the same command is given again. Volumes become volumes
    of labels (NAME.labels.nii.gz) that lie where the scans lie, in the adapter's window.
    """
    # Everything that can be wrong is checked before the model is loaded.
    check_there(inputs)
    if output == STREAM and (as_json or overlay):
        raise click.UsageError("--output - is the masks alone: leave out --json and --overlay")
    one = is_one_image(inputs)
    folder = None if one else output_folder(inputs, output or own_folder_name(inputs), "masks")
    engine = EngineChoice(model, adapter, variant, device, offline)
    engine.check(window)
    if not adapter_summary(adapter).classes:
        raise click.UsageError(
            f"--adapter: {adapter} has no classes: give it to samphire segment, with prompts, or "
            "to samphire everything"
        )

    max_bytes = None if no_cache else max_cache
    if volumes_in(inputs):
        if list(inputs) != volumes_in(inputs):
            raise click.UsageError("volumes and pictures in one command: give each a command")
        if format_names or overlay or page or jobs > 1:
            raise click.UsageError(
                "volumes become volumes of labels, one after the other: leave out --format, "
                "--overlay, --page and --jobs"
            )
        from samphire.cli import predict_volumes

        volume_job = predict_volumes.open_job(engine, window, max_bytes)
        if folder is None:
            return predict_volumes.run_one(
                volume_job, inputs[0], output, force=force, as_json=as_json
            )
        return predict_volumes.run_many(volume_job, inputs, folder, force=force, as_json=as_json)

    from samphire.cli.mask_files import formats_by_name
    from samphire.cli.mask_run import MaskJob, run_many, run_one
    from samphire.cli.predict_run import find, in_words

    job = MaskJob(
        engine=engine,
        find=find,
        settings={"command": "predict"},
        formats=tuple(kind.name for kind in formats_by_name(format_names, output, "json")),
        overlay="names" if overlay else None,
        reading=Reading(max_pixels, page, window),
        max_cache=max_bytes,
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
