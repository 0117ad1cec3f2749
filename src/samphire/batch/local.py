"""A run over many files on this machine: one after the other, resumable, no file stops the rest.

Every folder run of every command goes through :func:`run`. What a file becomes is the caller's
function. A run that was killed at any moment is started again with the same command: what is done
and unchanged is skipped, what was being written is written again. Where only the detail of an input
changed, such as its prompts in a file, its outputs are replaced; for any other change ``force``
decides. What an input no longer becomes is removed with what is replaced. A failure changes nothing
that is known of outputs made before.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from samphire import atomic
from samphire.batch.journal import Entry, Journal, content_id, open_journal
from samphire.errors import ImageError, OutputExistsError, SamphireError


@dataclass(frozen=True)
class Task:
    """One input.

    Attributes:
        name: unique in the run: the path below the folder that was given.
        source: the file.
        detail: id of what else belongs to this input alone, such as its prompts; empty if nothing.
    """

    name: str
    source: Path
    detail: str = ""


@dataclass(frozen=True)
class Product:
    """What an input became, not yet on the disk: data, so that another process may make it.

    Attributes:
        files: the files it becomes, names and bytes.
        record: what there is to tell about it, for JSON.
    """

    files: tuple[tuple[Path, bytes], ...]
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The names of the files."""
        return tuple(path for path, _ in self.files)

    def write(self) -> None:
        """Write the files, each whole or not at all."""
        for path, data in self.files:
            atomic.write_bytes(path, data)


@dataclass(frozen=True)
class Outcome:
    """How it went with one input.

    Attributes:
        task: the input.
        status: ``skipped`` where an earlier run had done it.
        outputs: the files that are there now.
        record: of the product; empty unless ``done``.
        error: why it failed, else empty.
    """

    task: Task
    status: Literal["done", "skipped", "failed"]
    outputs: tuple[Path, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def find_tasks(
    inputs: Iterable[Path], suffixes: frozenset[str], exclude: Path | None
) -> list[Task]:
    """The files to work on: those named, and those below the folders named, sorted.

    Args:
        inputs: files, taken whatever their names, and folders.
        suffixes: how the names of the files wanted inside folders end, lower case.
        exclude: a folder that is not searched: the output, where there is one.

    Returns:
        Tasks; hidden files and folders are left out. A file that is reached twice is one task.
    """
    tasks: dict[str, Task] = {}  # realpath, unlike Path.resolve, takes a link that runs in a circle
    output = None if exclude is None else os.path.realpath(exclude)
    for given in inputs:
        if not given.is_dir():
            tasks.setdefault(os.path.realpath(given), Task(given.name, given))
            continue
        for file in sorted(given.rglob("*")):
            relative = file.relative_to(given)
            hidden = any(part.startswith(".") for part in relative.parts)
            real = os.path.realpath(file)
            inside_output = output is not None and Path(real).is_relative_to(output)
            wanted = file.name.lower().endswith(tuple(suffixes))
            if wanted and not hidden and not inside_output:
                tasks.setdefault(real, Task(relative.as_posix(), file))
    return named_apart(list(tasks.values()))


def run(
    tasks: Iterable[Task],
    produce: Callable[[Task], Product],
    *,
    folder: Path,
    settings: str,
    force: bool = False,
) -> Iterator[Outcome]:
    """Work through the tasks; yields how each went, as it goes.

    Args:
        tasks: inputs, their names unique.
        produce: what one becomes; its errors fail that input only.
        folder: of the outputs and the journal.
        settings: id of all that outputs depend on besides the input, see ``settings_id``.
        force: replace outputs of other runs, and do again what is done.

    Raises:
        OSError: an output cannot be written (a full disk stops the run; nothing is lost).
        OutputExistsError: another run is writing into the folder.
    """
    with open_journal(folder) as journal:
        for task in tasks:
            try:
                check_regular(task.source)
                content = content_id(task.source)
            except ImageError as error:
                yield Outcome(task, "failed", error=str(error))
            except OSError as error:
                reason = f"{task.source} cannot be read: {error.strerror}"
                yield Outcome(task, "failed", error=reason)
            else:
                entry = Entry(task.name, content, settings, "writing", detail=task.detail)
                yield _work(task, entry, produce, journal, folder, force=force)


def check_regular(path: Path) -> None:
    """Refuse, before it is opened, what is there and no regular file: a pipe would never end.

    Raises:
        ImageError: it is a folder, a pipe, a socket or a device.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        what = "a folder" if path.is_dir() else "a pipe, a socket or a device"
        raise ImageError(f"{path} is {what}: expected a regular file")


def check_free(
    outputs: Iterable[Path], *, force: bool, owned: frozenset[Path] = frozenset()
) -> None:
    """Refuse to replace files that are there.

    Args:
        outputs: the files that will be made.
        force: they may be replaced.
        owned: files that may be replaced anyway.

    Raises:
        OutputExistsError: a file is there.
    """
    taken = [str(path) for path in outputs if path.exists() and path not in owned]
    if taken and not force:
        raise OutputExistsError(
            f"{', '.join(taken)} is there already: --force replaces it, or choose another --output"
        )


def _work(
    task: Task,
    entry: Entry,
    produce: Callable[[Task], Product],
    journal: Journal,
    folder: Path,
    *,
    force: bool,
) -> Outcome:
    """One input, from the journal's word about it to the next."""
    known = journal.last(task.name) or replace(entry, outcome="failed")  # as good as nothing
    same = (known.content, known.settings) == (entry.content, entry.settings)
    made = [folder / name for name in known.outputs if journal.maker(name) == task.name]
    whole = len(made) == len(known.outputs) and all(path.exists() for path in made)
    finished = same and whole and (known.outcome, known.detail) == ("done", task.detail)
    if finished and not force:
        return Outcome(task, "skipped", tuple(made))
    earlier = made if same or force else []
    for path in earlier:
        atomic.remove_leftovers(path)
    try:
        product = produce(task)
        check_free(product.outputs, force=force, owned=frozenset(earlier))
    except (SamphireError, OSError) as error:  # of this input, or of the names of its outputs
        if not known.outputs:
            journal.append(replace(entry, outcome="failed", error=str(error)))
        return Outcome(task, "failed", error=str(error))
    stale = [path for path in earlier if path not in product.outputs]
    journal.append(replace(entry, outputs=_names([*product.outputs, *stale], folder)))
    product.write()
    for path in stale:  # of an object, a reading or a format that is no longer asked for
        path.unlink(missing_ok=True)
    journal.append(replace(entry, outcome="done", outputs=_names(product.outputs, folder)))
    return Outcome(task, "done", product.outputs, product.record)


def _names(paths: Iterable[Path], folder: Path) -> tuple[str, ...]:
    return tuple(path.relative_to(folder).as_posix() for path in paths)


def named_apart(tasks: list[Task]) -> list[Task]:
    """The same tasks; those whose names are equal are named from their common folder down.

    Such a name may be that of one more task, which is then named in the same way. Names are unique
    where the files are.
    """
    names = [task.name for task in tasks]
    apart: set[int] = set()
    while True:
        counts = Counter(names)
        twins = {index for index, name in enumerate(names) if counts[name] > 1}
        if twins <= apart:
            return [replace(task, name=name) for task, name in zip(tasks, names, strict=True)]
        apart |= twins
        paths = {index: Path(os.path.realpath(tasks[index].source)) for index in apart}
        root = os.path.commonpath([path.parent for path in paths.values()])
        for index, path in paths.items():
            names[index] = path.relative_to(root).as_posix()
