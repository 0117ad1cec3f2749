"""Runs in worker processes: the same outputs, one opening each, and no process left over."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from samphire.batch.local import find_tasks, run, run_in_processes
from samphire.batch.processes import THREAD_VARIABLES, processes
from samphire.batch.task import Product, Task
from samphire.errors import ImageError, WorkerDiedError

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Shout:
    """Opens what a worker does: text in capitals, and a file a process that says it was opened."""

    folder: Path
    seen: Path

    def __call__(self):
        (self.seen / f"{os.getpid()}").write_text(
            " ".join(os.environ.get(name, "") for name in THREAD_VARIABLES)
        )
        return self.produce

    def produce(self, task: Task) -> Product:
        text = task.source.read_text()
        if text == "bad":
            raise ImageError(f"{task.name} is bad")
        if text == "die":
            os._exit(9)
        if text == "sleep":
            time.sleep(60)
        return Product(
            ((self.folder / f"{task.name}.out", text.upper().encode()),), {"n": len(text)}
        )


@pytest.fixture
def shout(tmp_path):
    for name in ("in", "seen"):
        (tmp_path / name).mkdir()
    for name in "abcdef":
        (tmp_path / "in" / f"{name}.jpg").write_text(name * 3)
    return Shout(tmp_path / "out", tmp_path / "seen")


def tasks_of(shout):
    return find_tasks([shout.folder.parent / "in"], frozenset({".jpg"}), shout.folder)


def run_all(shout, **options):
    outcomes = run_in_processes(
        tasks_of(shout), shout, folder=shout.folder, settings="s", jobs=2, threads=1, **options
    )
    return {outcome.task.name: outcome for outcome in outcomes}


def test_two_processes_make_what_one_makes_and_open_once_each(shout):
    (shout.folder.parent / "in" / "c.jpg").write_text("bad")
    told = []
    outcomes = run_all(
        shout, announce=lambda task, product: told.append((task.name, product.record))
    )
    assert [outcomes[f"{name}.jpg"].status for name in "abcdef"] == [
        *["done"] * 2,
        "failed",
        *["done"] * 3,
    ]
    assert outcomes["c.jpg"].error == "c.jpg is bad"
    assert (shout.folder / "f.jpg.out").read_text() == "FFF"
    assert sorted(told)[0] == ("a.jpg", {"n": 3})
    opened = list(shout.seen.iterdir())
    assert 1 <= len(opened) <= 2
    assert {file.read_text() for file in opened} == {" ".join(["1"] * len(THREAD_VARIABLES))}
    assert str(os.getpid()) not in {file.name for file in opened}
    again = run(tasks_of(shout), shout.produce, folder=shout.folder, settings="s")
    assert [outcome.status for outcome in again].count("skipped") == 5


def test_the_environment_is_as_before(shout, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with processes(shout, 1, 1) as submit:
        submit(tasks_of(shout)[0]).result()
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_process_that_dies_is_told_and_what_was_done_stays(shout):
    (shout.folder.parent / "in" / "d.jpg").write_text("die")
    with pytest.raises(WorkerDiedError, match="give fewer --jobs"):
        run_all(shout)
    (shout.folder.parent / "in" / "d.jpg").write_text("ddd")
    statuses = [outcome.status for outcome in run_all(shout).values()]
    assert set(statuses) <= {"done", "skipped"}
    assert "skipped" in statuses


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from batch.test_processes import Shout, run_all
if __name__ == "__main__":
    folder = Path({folder!r})
    run_all(Shout(folder / "out", folder / "seen"))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_a_parent_that_is_killed_or_interrupted(shout, how, tmp_path):
    for name in "bcde":
        (tmp_path / "in" / f"{name}.jpg").write_text("sleep")
    script = tmp_path / "script.py"
    tests = str(Path(__file__).parents[1])
    script.write_text(SCRIPT.format(tests=tests, folder=str(tmp_path)))
    parent = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list(shout.seen.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(file.name) for file in shout.seen.iterdir()]
    assert len(workers) == 2
    if how is signal.SIGINT:
        os.killpg(parent.pid, how)  # as a terminal does
    else:
        parent.send_signal(how)
    parent.communicate(timeout=30)
    gone, alive = psutil.wait_procs(
        [psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=10
    )
    del gone
    assert not alive
