"""``samphire view``: the results in a folder as one HTML page."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.parsing import force_option, json_option, max_pixels_option

if TYPE_CHECKING:
    from samphire.batch.local import Outcome
    from samphire.batch.task import Task
    from samphire.formats import Picture
    from samphire.formats.page import Sheet
    from samphire.masks import Masks

SUFFIX = ".mask.json"
# A canvas of a larger side is refused by some browsers.
MAX_SIDE = 8192


@dataclass
class _Tally:
    """What there is to tell of the pictures that went into a page."""

    pictures: int = 0
    masks: int = 0
    plain: list[str] = field(default_factory=list)
    failed: "list[Outcome]" = field(default_factory=list)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", metavar="FILE", help="The page. Default: index.html in the folder.")
@click.option(
    "--max-side",
    type=click.IntRange(min=16, max=MAX_SIDE),
    default=1600,
    show_default=True,
    help="Pictures are shrunk to it, pixels.",
)
@max_pixels_option
@force_option
@json_option
def view(
    folder: Path,
    output: str | None,
    max_side: int,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> int:
    """One HTML page over the masks in a folder, to look through in a browser.

    \b
    Examples:
      samphire view masks/
      samphire view masks/ --output dogs.html --max-side 1024

    Shows every file that ends in .mask.json, in folders inside too: write them with --format json.
    The page is one file and needs no network; the pictures are in it, found by what the files say
    of them. It shows masks as fill or outline, filters them by score and area, and tells about the
    one that is clicked. A page made by this command is replaced, any other file needs --force.
    """
    from samphire.batch.local import check_free, find_tasks
    from samphire.cli.report import tell_failures
    from samphire.formats.page import encode, is_page

    path = _page_path(folder, output)
    tasks = find_tasks([folder], frozenset({SUFFIX}), None)
    if not tasks:
        raise click.UsageError(
            f"no masks in {folder}: expected files that end in {SUFFIX}, which --format json writes"
        )
    check_free([path], force=force, owned=frozenset({path} if is_page(path) else ()))
    tally = _Tally()
    sheets = _sheets(tasks, tally, max_pixels)
    _write(path, encode(sheets, folder.resolve().name, max_side=max_side), tally)
    _tell(path, tally, as_json=as_json)
    tell_failures(tally.failed)
    return 1 if tally.failed else 0


def _page_path(folder: Path, output: str | None) -> Path:
    path = folder / "index.html" if output is None else Path(output)
    if path.name in ("", "-") or path.is_dir():
        raise click.UsageError(f"--output {output}: a page is one file, such as masks.html")
    return path


def _write(path: Path, pieces: Iterator[bytes], tally: _Tally) -> None:
    """The page on the disk, whole or not at all; nothing where there is nothing to show."""
    from samphire import atomic
    from samphire.cli.report import tell_failures
    from samphire.errors import FileFormatError

    with atomic.replacing(path) as temporary:
        with temporary.open("wb") as file:
            file.writelines(pieces)
        if not tally.pictures:
            tell_failures(tally.failed)
            raise FileFormatError(f"none of {len(tally.failed)} files of masks can be read")


def _sheets(tasks: "list[Task]", tally: _Tally, max_pixels: int) -> "Iterator[Sheet]":
    """The pictures that can be shown, one at a time; the tally learns of the others."""
    from tqdm import tqdm

    from samphire.batch.local import Outcome, check_regular
    from samphire.errors import SamphireError
    from samphire.formats import masks_json
    from samphire.formats.page import Sheet
    from samphire.images.limits import check_pixels

    for task in tqdm(tasks, unit="picture", disable=None):
        try:
            check_regular(task.source)
            masks, said = masks_json.read(task.source), masks_json.read_picture(task.source)
            check_pixels(masks.size.width, masks.size.height, task.name, max_pixels)
        except (SamphireError, OSError) as error:
            tally.failed.append(Outcome(task, "failed", error=str(error)))
            continue
        picture, problem = _with_pixels(said, masks, task.source.parent, max_pixels)
        tally.pictures += 1
        tally.masks += len(masks)
        tally.plain += [f"{task.name}: {problem}"] if problem else []
        yield Sheet(task.name[: -len(SUFFIX)], masks, picture)


def _with_pixels(
    said: "Picture", masks: "Masks", folder: Path, max_pixels: int
) -> "tuple[Picture, str]":
    """The picture with its pixels, or as it was and why it has none."""
    from dataclasses import replace

    from samphire.batch.local import check_regular
    from samphire.errors import SamphireError
    from samphire.geometry import Size
    from samphire.images.read import read_image

    path = folder / (said.link or said.name)
    if not (said.link or said.name):
        return said, "the file does not say where its picture is"
    try:
        check_regular(path)
        rgb = read_image(path, max_pixels)
    except SamphireError as error:
        return said, str(error)
    if Size(*rgb.shape[:2]) != masks.size:
        return said, f"{path.name} is {Size(*rgb.shape[:2])}, its masks are for {masks.size}"
    return replace(said, rgb=rgb), ""


def _tell(path: Path, tally: _Tally, *, as_json: bool) -> None:
    size = path.stat().st_size
    if as_json:
        record = {
            "page": str(path),
            "bytes": size,
            "pictures": tally.pictures,
            "masks": tally.masks,
            "without_picture": tally.plain,
            "failed": [{"file": each.task.name, "error": each.error} for each in tally.failed],
        }
        click.echo(json.dumps(record))
        return
    from samphire.cache import shown_bytes

    for problem in tally.plain:
        click.echo(f"  without its picture: {problem}", err=True)
    click.echo(
        f"{_counted(tally.pictures, 'picture')}, {_counted(tally.masks, 'mask')}, "
        f"{shown_bytes(size)}, {len(tally.failed)} failed",
        err=True,
    )
    click.echo(str(path))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
