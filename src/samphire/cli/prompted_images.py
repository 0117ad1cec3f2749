"""Which images a prompts file speaks of: its names, found below the inputs.

A name is looked for below each folder given, and among the files given by their names; without
inputs, below the folder of the prompts file. Outputs stay in the output folder whatever the names
in the file are.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import click

from samphire.batch.journal import settings_id
from samphire.batch.local import named_apart
from samphire.batch.task import Task
from samphire.errors import SamphireError
from samphire.formats.prompt_records import NamedPrompts, PromptsFile, counted
from samphire.formats.prompts_file import load_prompts
from samphire.prompts import Prompts

SHOWN = 5


@dataclass(frozen=True)
class PromptedImages:
    """Images and their prompts.

    Attributes:
        tasks: the images; those that the file names and that are missing, too, to fail by name.
        prompts: by the names of the tasks.
        notes: what was left out, in words for a person.
    """

    tasks: list[Task]
    prompts: dict[str, NamedPrompts]
    notes: list[str]


def with_prompts(tasks: list[Task], prompts: Prompts) -> PromptedImages:
    """The same prompts, without names, for each image."""
    count = len(prompts)
    named = NamedPrompts(prompts, names=("",) * count, labels=(0,) * count)
    return PromptedImages(tasks, {task.name: named for task in tasks}, notes=[])


def read_prompts(path: str) -> PromptsFile:
    """The prompts of a file; one that cannot be used is wrong usage."""
    try:
        return load_prompts(path)
    except (SamphireError, OSError) as error:
        raise click.UsageError(str(error)) from error


def pair(
    file: PromptsFile, path: str, inputs: tuple[str, ...], images: list[Task]
) -> PromptedImages:
    """Give images their prompts.

    Args:
        file: the prompts.
        path: of the file.
        inputs: files and folders as given; none: the folder of ``path``.
        images: found in the inputs.
    """
    if file.shared is not None:
        if not images:
            raise click.UsageError(f"{path} is for every image: give the images, or their folder")
        paired = [(task, file.shared) for task in images]
        return _images(paired, list(file.notes))
    places = [Path(given) for given in inputs] or [Path(path).parent]
    known = {os.path.realpath(task.source): task for task in images}
    found: dict[str, tuple[Task, NamedPrompts]] = {}
    missing: dict[str, tuple[Task, NamedPrompts]] = {}
    for name, prompts in file.images.items():
        source = _find(name, places, path)
        where = source or places[0] / name
        real = os.path.realpath(where)
        if real in found or real in missing:
            raise click.UsageError(f"{path} names {where} twice: expected one spelling")
        task = known.get(real, Task(_safe(name), where))
        (missing if source is None else found)[real] = (task, prompts)
    if not found:
        raise click.UsageError(
            f"no image that {path} names is in {', '.join(map(str, places))}, for example "
            f"{next(iter(file.images))}: give the folder that its names start from"
        )
    notes = [*file.notes]
    without = [task.name for real, task in known.items() if real not in found | missing]
    if without:
        notes.append(f"without prompts in {path}, left out: {_some(without)}")
    if not any(place.is_dir() for place in places) and missing:
        names = [task.name for task, _ in missing.values()]
        notes.append(f"in {path} but not asked for, left out: {_some(names)}")
        missing = {}
    return _images([*found.values(), *missing.values()], notes)


def _find(name: str, places: list[Path], path: str) -> Path | None:
    """The one file of this name."""
    candidates = [
        place / name if place.is_dir() else place
        for place in places
        if place.is_dir() or name in {place.name, place.as_posix()}
    ]
    # os.path: a name that is too long for a file is one of no file, and no error
    files = {os.path.realpath(file): file for file in candidates if os.path.isfile(file)}
    if len(files) > 1:
        shown = " and ".join(map(str, files.values()))
        raise click.UsageError(
            f"{name} in {path} could be {shown}: give the folder above, and its names with folders"
        )
    return next(iter(files.values()), None)


def _safe(name: str) -> str:
    """A name for outputs that cannot leave the output folder."""
    pure = PurePosixPath(name)
    inside = not pure.is_absolute() and ".." not in pure.parts and ":" not in name
    return pure.as_posix() if inside else pure.name


def _images(paired: list[tuple[Task, NamedPrompts]], notes: list[str]) -> PromptedImages:
    detailed = [replace(task, detail=_detail(prompts)) for task, prompts in paired]
    tasks = named_apart(detailed)
    given = [prompts for _, prompts in paired]
    return PromptedImages(
        tasks=sorted(tasks, key=lambda task: task.name),
        prompts={task.name: prompts for task, prompts in zip(tasks, given, strict=True)},
        notes=notes,
    )


def _detail(named: NamedPrompts) -> str:
    """The id of one image's prompts."""
    return settings_id(
        {"prompts": as_json(named.prompts), "names": named.names, "labels": named.labels}
    )


def _some(names: list[str]) -> str:
    """How many, and the first of them."""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{counted(len(names), 'image', 'images')}: {', '.join(names[:SHOWN])}{more}"


def as_json(prompts: Prompts) -> list[dict[str, Any]]:
    """Prompts as JSON can hold them, to tell whether they changed."""
    return [
        {
            "points": item.points.tolist(),
            "labels": item.labels.tolist(),
            "box": None if item.box is None else item.box.tolist(),
            "mask": None if item.mask is None else hashlib.sha256(item.mask.tobytes()).hexdigest(),
        }
        for item in prompts.objects
    ]
