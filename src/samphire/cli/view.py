"""``samphire view``: a folder of masks -> one page to look through."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.parsing import force_option, json_option

if TYPE_CHECKING:
    from samphire.formats.page import Entry

SUFFIX = ".mask.json"


@click.command()
@click.argument("folder", metavar="DIR")
@click.option("--output", metavar="FILE", help="The page. Default: DIR/index.html.")
@click.option(
    "--max-side",
    type=click.IntRange(64, 8192),
    default=1600,
    show_default=True,
    help="Pictures in the page are shrunk to this longest side.",
)
@force_option
@json_option
def view(folder: str, output: str | None, max_side: int, force: bool, as_json: bool) -> int:
    """One page to look through the masks of a folder, in any browser, without a network.

    \b
    Examples:
      samphire everything photos/ --output out/ && samphire view out/
      samphire view out/ --output masks.html --max-side 1024

    It shows what samphire everything and samphire segment --format json wrote: filter by score and
    area, toggle masks, click on the picture. Keys: ? lists them.
    """
    import json

    from tqdm import tqdm

    from samphire import atomic
    from samphire.errors import FileFormatError, SamphireError
    from samphire.formats.page import page

    root = Path(folder)
    if not root.is_dir():
        raise click.UsageError(f"{folder}: no such folder")
    found = sorted(root.rglob(f"*{SUFFIX}"))
    if not found:
        raise click.UsageError(
            f"no files called *{SUFFIX} in {folder}: samphire everything writes them, and "
            "samphire convert makes them of other formats"
        )
    path = Path(output) if output is not None else root / "index.html"
    _check_free(path, force=force)
    entries, failed = [], []
    for file in tqdm(found, unit="image", disable=None):
        try:
            entries.append(_entry(file, root, max_side))
        except (SamphireError, OSError) as error:
            failed.append(str(error))
    if not entries:
        raise FileFormatError(f"none of {len(found)} files can be shown: {failed[0]}")
    made = page(entries, f"Masks in {root.resolve().name}")
    atomic.write_bytes(path, made)
    masks = sum(len(entry.masks) for entry in entries)
    if as_json:
        record = {"output": str(path), "pictures": len(entries), "masks": masks, "failed": failed}
        click.echo(json.dumps(record | {"bytes": len(made)}))
    else:
        click.echo(path)
    click.echo(
        f"{len(entries)} pictures, {masks} masks, {len(made) / 1e6:.1f} MB, {len(failed)} failed",
        err=True,
    )
    for reason in failed:
        click.echo(f"  {reason}", err=True)
    return 1 if failed else 0


def _check_free(path: Path, *, force: bool) -> None:
    """Refuse to replace a file, unless it is a page that this command made."""
    from samphire.batch.local import check_free
    from samphire.formats.page import GENERATOR

    ours = path.is_file() and GENERATOR.encode() in path.read_bytes()[:4096]
    check_free([path], force=force or ours)


def _entry(file: Path, root: Path, max_side: int) -> "Entry":
    """A picture with its masks, shrunk; one that is not found is left grey, and told."""
    from samphire.errors import ImageError
    from samphire.formats import masks_json
    from samphire.formats.page import Entry
    from samphire.geometry import Size
    from samphire.images.draw import encode_jpeg, shrunk
    from samphire.images.read import read_image

    masks, picture = masks_json.read(file), masks_json.read_picture(file)
    name = file.relative_to(root).as_posix().removesuffix(SUFFIX)
    source = file.parent / picture.link
    shrink = min(1.0, max_side / max(masks.size.height, masks.size.width))
    shown = Size(
        max(1, round(masks.size.height * shrink)), max(1, round(masks.size.width * shrink))
    )
    if not picture.link or not source.is_file():
        click.echo(f"{name}: its picture is not at {source}, shown without", err=True)
        return Entry(name, masks, None, shown)
    rgb = read_image(source)
    if rgb.shape[:2] != (masks.size.height, masks.size.width):
        raise ImageError(
            f"{source} is {rgb.shape[1]}x{rgb.shape[0]}, the masks in {file} are for {masks.size}"
        )
    return Entry(name, masks, encode_jpeg(shrunk(rgb, shown)), shown)
