"""A run over many files on this machine: resumable, no file stops the rest.

Every folder run of every command goes through :func:`run`, one file after the other, or
:func:`run_in_processes`. What a file becomes is the caller's
function. A run that was killed at any moment is started again with the same command: what is done
and unchanged is skipped, what was being written is written again. Where only the detail of an input
changed, such as its prompts in a file, its outputs are replaced; for any other change ``force``
decides. What an input no longer becomes is removed with what is replaced. A failure changes nothing
that is known of outputs made before.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from samphire import atomic
from samphire.batch.journal import Entry, Journal, content_id, open_journal
from samphire.batch.processes import OpenWorker, processes, result
from samphire.batch.task import Product, Task
from samphire.errors import ImageError, OutputExistsError, SamphireError, WorkerDiedError


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
    announce: Callable[[Task, Product], None] = lambda _task, _product: None,
) -> Iterator[Outcome]:
    """Work through the tasks; yields how each went, as it goes.

    Args:
        tasks: inputs, their names unique.
        produce: what one becomes; its errors fail that input only.
        folder: of the outputs and the journal.
        settings: id of all that outputs depend on besides the input, see ``settings_id``.
        force: replace outputs of other runs, and do again what is done.
        announce: told of each product before it is written.

    Raises:
        OSError: an output cannot be written (a full disk stops the run; nothing is lost).
        OutputExistsError: another run is writing into the folder.
    """
    with open_journal(folder) as journal:
        for task in tasks:
            plan = _plan(task, settings, journal, folder, force=force)
            if isinstance(plan, _Plan):
                yield _finish(plan, partial(produce, task), journal, folder, announce)
            else:
                yield plan


def run_in_processes(
    tasks: Iterable[Task],
    open_worker: OpenWorker,
    *,
    folder: Path,
    settings: str,
    force: bool = False,
    announce: Callable[[Task, Product], None] = lambda _task, _product: None,
    jobs: int,
    threads: int,
) -> Iterator[Outcome]:
    """As :func:`run`, several tasks at once; yields them as they are done, in any order.

    This process keeps the journal and writes the files; the others make them. No more tasks are
    handed out than there are processes, so a run that is killed has lost no more than those.

    Args:
        tasks: inputs, their names unique.
        open_worker: called once in each process, for what ``produce`` is to :func:`run`; it and
            the products travel between processes.
        folder: see :func:`run`, as ``settings``, ``force`` and ``announce``.
        settings: of the outputs.
        force: replace.
        announce: told, in this process.
        jobs: processes.
        threads: of each process.

    Raises:
        OSError: an output cannot be written.
        OutputExistsError: another run is writing into the folder.
        WorkerDiedError: a process ended; what was finished stays.
    """
    with open_journal(folder) as journal, processes(open_worker, jobs, threads) as submit:
        waiting: dict[Future[Product], _Plan] = {}
        for task in tasks:
            plan = _plan(task, settings, journal, folder, force=force)
            if isinstance(plan, _Plan):
                waiting[submit(task)] = plan
            else:
                yield plan
            while len(waiting) >= jobs:
                yield from _finish_some(waiting, journal, folder, announce)
        while waiting:
            yield from _finish_some(waiting, journal, folder, announce)


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


@dataclass(frozen=True)
class _Plan:
    """A task that has to be done.

    Attributes:
        entry: its next line in the journal.
        known_outputs: whether the journal knows outputs of it, which a failure must not hide.
        earlier: outputs made before that may be replaced.
        force: so may all others.
    """

    task: Task
    entry: Entry
    known_outputs: bool
    earlier: tuple[Path, ...]
    force: bool


def _plan(
    task: Task, settings: str, journal: Journal, folder: Path, *, force: bool
) -> _Plan | Outcome:
    """What to do about one input, by the journal; an Outcome where there is nothing to do."""
    try:
        check_regular(task.source)
        content = content_id(task.source)
    except ImageError as error:
        return Outcome(task, "failed", error=str(error))
    except OSError as error:
        reason = f"{task.source} cannot be read: {error.strerror}"
        return Outcome(task, "failed", error=reason)
    entry = Entry(task.name, content, settings, "writing", detail=task.detail)
    known = journal.last(task.name) or replace(entry, outcome="failed")  # as good as nothing
    same = (known.content, known.settings) == (entry.content, entry.settings)
    made = [folder / name for name in known.outputs if journal.maker(name) == task.name]
    whole = len(made) == len(known.outputs) and all(path.exists() for path in made)
    finished = same and whole and (known.outcome, known.detail) == ("done", task.detail)
    if finished and not force:
        return Outcome(task, "skipped", tuple(made))
    earlier = tuple(made) if same or force else ()
    for path in earlier:
        atomic.remove_leftovers(path)
    return _Plan(task, entry, bool(known.outputs), earlier, force)


def _finish(
    plan: _Plan,
    product_of: Callable[[], Product],
    journal: Journal,
    folder: Path,
    announce: Callable[[Task, Product], None],
) -> Outcome:
    """One input, from the journal's word about it to the next."""
    task, entry = plan.task, plan.entry
    try:
        product = product_of()
        check_free(product.outputs, force=plan.force, owned=frozenset(plan.earlier))
    except WorkerDiedError:  # nobody knows which input it was
        raise
    except (SamphireError, OSError) as error:  # of this input, or of the names of its outputs
        if not plan.known_outputs:
            journal.append(replace(entry, outcome="failed", error=str(error)))
        return Outcome(task, "failed", error=str(error))
    announce(task, product)
    stale = [path for path in plan.earlier if path not in product.outputs]
    journal.append(replace(entry, outputs=_names([*product.outputs, *stale], folder)))
    product.write()
    for path in stale:  # of an object, a reading or a format that is no longer asked for
        path.unlink(missing_ok=True)
    journal.append(replace(entry, outcome="done", outputs=_names(product.outputs, folder)))
    return Outcome(task, "done", product.outputs, product.record)


def _finish_some(
    waiting: dict[Future[Product], _Plan],
    journal: Journal,
    folder: Path,
    announce: Callable[[Task, Product], None],
) -> Iterator[Outcome]:
    """Wait for the next products, and write them."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield _finish(waiting.pop(future), partial(result, future), journal, folder, announce)


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
