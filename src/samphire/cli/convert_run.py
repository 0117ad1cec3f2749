"""What ``samphire convert`` does once its arguments are checked: files of masks -> other files.

A task is one picture in one file: its name is that of the outputs, without a suffix; its detail is
the picture's name, where the file is about several.
"""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import click

from samphire.batch.journal import settings_id
from samphire.batch.local import Outcome, check_free, run
from samphire.batch.task import Product, Task
from samphire.cli.mask_files import combine_files, contents, losses, say_losses
from samphire.cli.outputs import Target, names_one_file
from samphire.cli.report import tell, tell_all, tell_failures
from samphire.errors import ImageError, SamphireError
from samphire.formats import FORMATS, Format, Picture, format_of, load_masks
from samphire.formats.recognise import recognise
from samphire.images.read import IMAGE_SUFFIXES, read_image


@dataclass(frozen=True)
class Conversion:
    """What to make of masks.

    Attributes:
        source_format: of the files that are read; None: their content decides.
        formats: to write.
        images: a folder with the pictures, or None.
    """

    source_format: str | None
    formats: tuple[Format, ...]
    images: Path | None

    def product(self, task: Task, target: Target) -> Product:
        """The masks of one picture, ready to be written."""
        kind = format_of(task.source, self.source_format or recognise(task.source))
        said = Picture(task.detail) if kind.picture is None else kind.picture(task.source)
        image = self._image(task, said)
        name = task.detail or (None if image is None else str(image))
        masks = load_masks(task.source, kind.name, image=name)
        picture = Picture(said.name or PurePosixPath(task.name).name)
        if image is not None:
            link = os.path.relpath(os.path.abspath(image), os.path.abspath(target.stem.parent))
            pixels = any(wanted.needs_pixels for wanted in self.formats)
            rgb = read_image(image) if pixels else None
            picture = Picture(said.name or image.name, Path(link).as_posix(), rgb)
        return Product(
            files=contents(masks, target, self.formats, picture, None),
            record={
                "width": masks.size.width,
                "height": masks.size.height,
                "masks": len(masks),
                "losses": losses(masks, self.formats),
            },
        )

    def _image(self, task: Task, said: Picture) -> Path | None:
        """The picture's own file: in the folder given, or where the file of masks says."""
        if self.images is not None:
            return _find(self.images, task)
        linked = task.source.parent / said.link
        return linked if said.link and linked.is_file() else None


def convert_files(
    conversion: Conversion,
    source: Path,
    output: str,
    *,
    picture: str | None,
    force: bool,
    as_json: bool,
) -> int:
    """A file or a folder into a file or a folder."""
    try:
        tasks = _tasks(conversion, source, Path(output), picture)
    except (SamphireError, OSError) as error:
        raise click.UsageError(str(error)) from error
    if not names_one_file(output):
        return _into_folder(conversion, tasks, Path(output), force=force, as_json=as_json)
    path, kind = Path(output), conversion.formats[0]
    target = Target(path.with_suffix(""), exact=path)
    products = [conversion.product(task, target) for task in tasks]
    if len(products) > 1 and kind.combine is None:
        raise click.UsageError(
            f"{source} is about {len(tasks)} pictures, and {kind.name} about one: name a folder "
            "for OUT, or one of them with --picture"
        )
    for task, product in zip(tasks, products, strict=True):
        say_losses(task, product)
    whole = products[0]
    if len(products) > 1 and kind.combine is not None:
        documents = [data for product in products for _, data in product.files]
        whole = replace(whole, files=((path, kind.combine(documents)),))
    check_free(whole.outputs, force=force)
    whole.write()
    tell(Outcome(tasks[0], "done", whole.outputs, whole.record), _in_words, as_json=as_json)
    return 0


def _into_folder(
    conversion: Conversion, tasks: list[Task], folder: Path, *, force: bool, as_json: bool
) -> int:
    """One output a picture and format, through the journal."""
    targets = {task.name: Target(folder / task.name) for task in tasks}
    settings = {
        "command": "convert",
        "from": conversion.source_format,
        "formats": [kind.name for kind in conversion.formats],
        "images": None if conversion.images is None else str(conversion.images.resolve()),
    }
    outcomes = run(
        tasks,
        lambda task: conversion.product(task, targets[task.name]),
        folder=folder,
        settings=settings_id(settings),
        force=force,
        announce=say_losses,
    )
    counts, failed = tell_all(outcomes, len(tasks), _in_words, as_json=as_json)
    missing = {outcome.task.name for outcome in failed}
    whole = [target for name, target in targets.items() if name not in missing]
    for path in combine_files(conversion.formats, whole, folder):
        click.echo(path)
    click.echo(
        f"{counts['done']} converted, {counts['skipped']} done before, {counts['failed']} failed; "
        f"masks are in {folder}",
        err=True,
    )
    tell_failures(failed)
    return 1 if failed else 0


def _tasks(conversion: Conversion, source: Path, output: Path, picture: str | None) -> list[Task]:
    """The pictures that the source is about."""
    found = []
    for file in [source] if source.is_file() else _files(conversion, source, output):
        kind = format_of(file, conversion.source_format or recognise(file))
        names = kind.pictures(file) if kind.pictures is not None else [""]
        if kind.pictures is not None and picture is not None:
            names = [picture]
        here = source.parent if source.is_file() else source
        own = _without_suffix(file.relative_to(here).as_posix(), kind)
        found += [Task(_inside(name) or own, file, detail=name) for name in names]
    if not found:
        raise click.UsageError(f"no files of masks in {source}")
    stems = Counter(PurePosixPath(task.name).with_suffix("") for task in found if task.detail)
    return [
        replace(task, name=str(stem))
        if task.detail and stems[stem := PurePosixPath(task.name).with_suffix("")] == 1
        else task
        for task in found
    ]


def _files(conversion: Conversion, folder: Path, output: Path) -> list[Path]:
    """The files of masks in a folder; of one format, or the one that was named."""
    by_format: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if hidden or not file.is_file() or file.resolve() == output.resolve():
            continue
        name = _format_in_folder(file)
        by_format.setdefault(name or "", []).append(file)
    by_format.pop("", None)
    wanted = conversion.source_format
    if wanted is not None:
        return by_format.get(wanted, [])
    if len(by_format) > 1:
        counts = ", ".join(f"{len(files)} {name}" for name, files in by_format.items())
        raise click.UsageError(f"{folder} has files of several formats ({counts}): say --from NAME")
    return next(iter(by_format.values()), [])


def _format_in_folder(file: Path) -> str | None:
    """The readable format of a file; what only might be one is left out."""
    name = recognise(file)
    if name is None:
        whole = [
            kind.name
            for kind in FORMATS.values()
            if kind.read is not None and kind.suffix and file.name.lower().endswith(kind.suffix)
        ]
        name = whole[0] if whole and not file.name.lower().endswith(".json") else None
    return name


def _without_suffix(name: str, kind: Format) -> str:
    """The name of the picture that a file of masks is about, without a suffix."""
    if kind.suffix and name.lower().endswith(kind.suffix):
        return name[: -len(kind.suffix)]
    return PurePosixPath(name).with_suffix("").as_posix()


def _inside(name: str) -> str:
    """A picture's name as one of outputs, which cannot leave the output folder."""
    pure = PurePosixPath(name)
    safe = not pure.is_absolute() and ".." not in pure.parts
    return name if safe else pure.name


def _find(images: Path, task: Task) -> Path:
    """The picture of a task: by its name in the file, or the name of the file without a suffix.

    Raises:
        ImageError: there is none.
    """
    name = PurePosixPath(task.detail or task.name)
    candidates = [images / name, images / name.name] if task.detail else []
    for suffix in sorted(IMAGE_SUFFIXES):
        candidates += [images / f"{name}{suffix}", images / f"{name.name}{suffix}"]
    for file in candidates:
        if file.is_file():
            return file
    raise ImageError(f"no picture called {name} in {images}, for {task.source.name}")


def _in_words(record: dict[str, Any]) -> str:
    return f"{record['width']}x{record['height']}, {record['masks']} masks"
