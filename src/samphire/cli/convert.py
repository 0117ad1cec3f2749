"""``samphire convert``: masks from one format into others."""

from pathlib import Path

import click

from samphire.cli.outputs import names_one_file
from samphire.cli.parsing import force_option, json_option


@click.command()
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT")
@click.option(
    "--from", "source_format", metavar="NAME", help="Of IN. Default: its content decides."
)
@click.option(
    "--format", "format_names", metavar="NAMES", help="Of OUT. Default: the suffix of OUT decides."
)
@click.option(
    "--images",
    metavar="FOLDER",
    help="Where the pictures are, for formats that need their pixels or their size.",
)
@click.option("--picture", metavar="NAME", help="The one to take of a file about several.")
@force_option
@json_option
def convert(
    source: str,
    output: str,
    source_format: str | None,
    format_names: str | None,
    images: str | None,
    picture: str | None,
    force: bool,
    as_json: bool,
) -> int:
    """Masks from one format into others: a file, or a folder of files.

    \b
    Examples:
      samphire convert photo.mask.json photo.coco.json
      samphire convert instances.json labelme/ --format labelme --images photos/
      samphire convert photos-masks/ instances.json --format coco

    IN is a file or a folder of them, OUT a file or a folder. What a format cannot hold is told
    before anything is written. An unknown NAME lists the formats that there are.
    """
    if not Path(source).exists():
        raise click.UsageError(f"{source}: no such file or folder")
    if images is not None and not Path(images).is_dir():
        raise click.UsageError(f"--images {images}: no such folder")
    if format_names is None and not names_one_file(output):
        raise click.UsageError(f"{output} is a folder: say into what, with --format NAMES")

    from samphire.cli.convert_run import Conversion, convert_files
    from samphire.cli.mask_files import formats_by_name

    conversion = Conversion(
        source_format=source_format,
        formats=formats_by_name(format_names, output, "json"),
        images=None if images is None else Path(images),
    )
    return convert_files(
        conversion, Path(source), output, picture=picture, force=force, as_json=as_json
    )
