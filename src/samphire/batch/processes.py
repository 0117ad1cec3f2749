"""Worker processes for a run: each opens its engine once, and none outlives the run.

Processes, not threads: what is slow here holds Python's lock in places, and a model in a process of
its own cannot disturb another. Each gets its share of the processor's cores. Not for the journal
and not for writing files: the parent does both.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process

from samphire.batch.task import Product, Task
from samphire.errors import WorkerDiedError

OpenWorker = Callable[[], Callable[[Task], Product]]

# Each library has a pool of threads of its own, and reads its size when it is imported.
THREAD_VARIABLES = (
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)


@contextmanager
def processes(
    open_worker: OpenWorker, jobs: int, threads: int
) -> Iterator[Callable[[Task], Future[Product]]]:
    """Start processes that make products; gives the function that hands one a task.

    Args:
        open_worker: called once in each process.
        jobs: how many processes.
        threads: of each.
    """
    with (
        _environment(dict.fromkeys(THREAD_VARIABLES, str(threads))),
        ProcessPoolExecutor(
            jobs, get_context("spawn"), initializer=_start, initargs=(open_worker,)
        ) as pool,
    ):
        try:
            yield partial(_submit, pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def result(future: Future[Product]) -> Product:
    """The product, or the error that making it raised.

    Raises:
        WorkerDiedError: the process ended before it was done.
    """
    with _death_told():
        return future.result()


def _submit(pool: ProcessPoolExecutor, task: Task) -> Future[Product]:
    with _death_told():
        return pool.submit(_make, task)


@contextmanager
def _death_told() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise WorkerDiedError(
            "a worker process ended before it was done, perhaps for want of memory: give fewer "
            "--jobs; finished files stay, the same command goes on"
        ) from error


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables, for processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# In a worker process: what makes a product of a task.
_worker: list[Callable[[Task], Product]] = []


def _start(open_worker: OpenWorker) -> None:
    # the parent says what an interrupt means; a worker only ends, whatever it is doing
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.append(open_worker())


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its workers to end."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(task: Task) -> Product:
    return _worker[0](task)
