"""Folder runs: what is skipped, done again, refused; no input stops the others."""

import os
from pathlib import Path

import pytest

from samphire.batch.local import find_tasks, named_apart, run
from samphire.batch.task import Product, Task
from samphire.errors import ImageError

SUFFIXES = frozenset({".jpg", ".png"})


class Killed(BaseException):
    """Like SIGKILL: nothing may catch it."""


class KilledAfter(Product):
    def write(self) -> None:
        super().write()
        raise Killed


class KilledBefore(Product):
    def write(self) -> None:
        raise Killed


class FullDisk(Product):
    def write(self) -> None:
        raise OSError(28, "No space left on device")


def shout(folder: Path, made: list[str]):
    """A stand-in for segmenting: the input's text in capitals; "bad" is refused."""

    def produce(task: Task) -> Product:
        text = task.source.read_text()
        if text == "bad":
            raise ImageError(f"{task.name} is bad")
        made.append(task.name)
        path = folder / f"{task.name}.out"
        return Product(((path, text.upper().encode()),))

    return produce


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.jpg").write_text(name)
    return folder


class Runner:
    """Runs over the inputs into one output folder and remembers what was made."""

    def __init__(self, inputs: Path) -> None:
        self.inputs, self.output = inputs, inputs.parent / "out"

    def __call__(self, settings="s", force=False):
        made: list[str] = []
        tasks = find_tasks([self.inputs], SUFFIXES, self.output)
        produce = shout(self.output, made)
        outcomes = list(run(tasks, produce, folder=self.output, settings=settings, force=force))
        return {outcome.task.name: outcome.status for outcome in outcomes}, made, outcomes


@pytest.fixture
def runner(inputs):
    return Runner(inputs)


def test_a_second_run_makes_nothing(runner):
    statuses, made, _ = runner()
    assert statuses == dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], "done")
    assert made == ["a.jpg", "b.jpg", "c.jpg"]
    assert (runner.output / "b.jpg.out").read_text() == "B"
    statuses, made, outcomes = runner()
    assert set(statuses.values()) == {"skipped"}
    assert made == []
    assert outcomes[0].outputs == (runner.output / "a.jpg.out",)


def test_a_bad_input_is_told_and_stops_nothing_and_is_tried_again(runner):
    (runner.inputs / "b.jpg").write_text("bad")
    statuses, _, outcomes = runner()
    assert statuses == {"a.jpg": "done", "b.jpg": "failed", "c.jpg": "done"}
    assert outcomes[1].error == "b.jpg is bad"
    (runner.inputs / "b.jpg").write_text("good")
    statuses, made, _ = runner()
    assert made == ["b.jpg"]
    assert statuses["b.jpg"] == "done"


def test_an_input_that_vanished_fails_alone(runner):
    tasks = [Task("gone.jpg", runner.inputs / "gone.jpg"), Task("a.jpg", runner.inputs / "a.jpg")]
    produce = shout(runner.output, [])
    outcomes = list(run(tasks, produce, folder=runner.output, settings="s"))
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "gone.jpg cannot be read: No such file" in outcomes[0].error


def test_other_settings_do_not_replace_outputs_without_force(runner):
    runner("first")
    statuses, _, outcomes = runner("second")
    assert set(statuses.values()) == {"failed"}
    assert "--force" in outcomes[0].error
    statuses, made, _ = runner("second", force=True)
    assert set(statuses.values()) == {"done"}
    assert made == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_changed_input_does_not_replace_its_output_without_force(runner):
    runner()
    (runner.inputs / "a.jpg").write_text("changed")
    statuses, _, _ = runner()
    assert statuses["a.jpg"] == "failed"
    assert (runner.output / "a.jpg.out").read_text() == "A"


def test_files_of_others_are_never_replaced(runner):
    runner.output.mkdir()
    (runner.output / "a.jpg.out").write_text("precious")
    statuses, _, _ = runner()
    assert statuses == {"a.jpg": "failed", "b.jpg": "done", "c.jpg": "done"}
    assert (runner.output / "a.jpg.out").read_text() == "precious"


def test_a_removed_output_is_made_again(runner):
    runner()
    (runner.output / "b.jpg.out").unlink()
    _, made, _ = runner()
    assert made == ["b.jpg"]


def pieces(folder: Path, counts: dict[str, int], killed_at: str = ""):
    """A stand-in for masks: as many files an input as its detail asks for."""

    def produce(task: Task) -> Product:
        count = counts[task.name]
        text = f"{count}".encode()
        files = tuple((folder / f"{task.name}_{index}.out", text) for index in range(count))
        return KilledAfter(files) if task.name == killed_at else Product(files)

    return produce


def run_pieces(runner, counts, killed_at="", settings="s", force=False):
    tasks = [Task(name, runner.inputs / name, detail=str(count)) for name, count in counts.items()]
    produce = pieces(runner.output, counts, killed_at)
    outcomes = list(run(tasks, produce, folder=runner.output, settings=settings, force=force))
    return [outcome.status for outcome in outcomes]


def made_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_changed_detail_makes_that_input_again_and_removes_what_it_no_longer_makes(runner):
    assert run_pieces(runner, {"a.jpg": 3, "b.jpg": 1}) == ["done", "done"]
    assert run_pieces(runner, {"a.jpg": 2, "b.jpg": 1}) == ["done", "skipped"]
    assert made_files(runner.output) == ["a.jpg_0.out", "a.jpg_1.out", "b.jpg_0.out"]
    assert (runner.output / "a.jpg_0.out").read_text() == "2"
    assert run_pieces(runner, {"a.jpg": 2, "b.jpg": 1}) == ["skipped", "skipped"]


def test_a_run_killed_while_a_changed_detail_is_written_leaves_nothing_old(runner):
    run_pieces(runner, {"a.jpg": 3})
    with pytest.raises(Killed):
        run_pieces(runner, {"a.jpg": 1}, killed_at="a.jpg")
    assert run_pieces(runner, {"a.jpg": 1}) == ["done"]
    assert made_files(runner.output) == ["a.jpg_0.out"]


def test_a_changed_detail_does_not_replace_files_of_others_or_of_other_settings(runner):
    run_pieces(runner, {"a.jpg": 1})
    (runner.output / "a.jpg_1.out").write_text("precious")
    assert run_pieces(runner, {"a.jpg": 2}) == ["failed"]
    assert (runner.output / "a.jpg_1.out").read_text() == "precious"
    assert run_pieces(runner, {"a.jpg": 1}) == ["skipped"]
    assert run_pieces(runner, {"a.jpg": 1}, settings="other") == ["failed"]


def test_a_suffix_may_have_two_parts(tmp_path):
    for name in ["a.embedding.safetensors", "b.safetensors", "c.JPG"]:
        (tmp_path / name).write_text(name)
    tasks = find_tasks([tmp_path], frozenset({".embedding.safetensors", ".jpg"}), None)
    assert [task.name for task in tasks] == ["a.embedding.safetensors", "c.JPG"]


@pytest.mark.parametrize("moment", ["before writing", "while writing", "after writing"])
def test_a_run_that_was_killed_goes_on(runner, moment):
    produce = shout(runner.output, [])

    def deadly(task: Task) -> Product:
        product = produce(task)
        if task.name != "b.jpg":
            return product
        if moment == "while writing":
            (runner.output / f".b.jpg.{1234}.tmp.out").write_text("half")
        kind = KilledAfter if moment == "after writing" else KilledBefore
        return kind(product.files)

    tasks = find_tasks([runner.inputs], SUFFIXES, runner.output)
    with pytest.raises(Killed):
        list(run(tasks, deadly, folder=runner.output, settings="s"))
    statuses, made, _ = runner()
    assert statuses == {"a.jpg": "skipped", "b.jpg": "done", "c.jpg": "done"}
    assert made == ["b.jpg", "c.jpg"]
    names = sorted(p.name for p in runner.output.iterdir() if not p.name.startswith(".samphire"))
    assert names == ["a.jpg.out", "b.jpg.out", "c.jpg.out"]


def test_an_output_that_cannot_be_written_stops_the_run(runner):
    def produce(task: Task) -> Product:
        return FullDisk(((runner.output / "x.out", b"x"),))

    tasks = find_tasks([runner.inputs], SUFFIXES, runner.output)
    with pytest.raises(OSError, match="No space left"):
        list(run(tasks, produce, folder=runner.output, settings="s"))


def test_folders_are_searched_below_without_hidden_files_and_the_output(tmp_path):
    for name in ["b.jpg", "a.PNG", "sub/c.jpg", ".hidden.jpg", ".git/d.jpg", "e.txt", "out/f.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    tasks = find_tasks([tmp_path], SUFFIXES, tmp_path / "out")
    assert [task.name for task in tasks] == ["a.PNG", "b.jpg", "sub/c.jpg"]


def test_a_file_named_by_hand_is_taken_whatever_its_name_and_only_once(tmp_path):
    (tmp_path / "scan").write_text("x")
    (tmp_path / "a.jpg").write_text("a")
    tasks = find_tasks([tmp_path / "scan", tmp_path / "a.jpg", tmp_path], SUFFIXES, tmp_path / "o")
    assert [task.name for task in tasks] == ["scan", "a.jpg"]


def test_equal_names_from_two_folders_are_told_apart(tmp_path):
    for name in ["x/a.jpg", "y/a.jpg", "y/b.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    tasks = find_tasks([tmp_path / "x", tmp_path / "y"], SUFFIXES, tmp_path / "out")
    assert [task.name for task in tasks] == ["x/a.jpg", "y/a.jpg", "b.jpg"]


def test_a_name_made_by_telling_apart_is_told_apart_too(tmp_path):
    names = ["d1/a/x.jpg", "a/x.jpg", "b/x.jpg", "d1/y.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    given = [tmp_path / "d1", tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg"]
    tasks = find_tasks(given, SUFFIXES, None)
    assert [task.name for task in tasks] == ["d1/a/x.jpg", "y.jpg", "a/x.jpg", "b/x.jpg"]
    assert [task.source.read_text() for task in tasks] == [names[0], names[3], *names[1:3]]


def test_telling_apart_ends_where_two_tasks_are_one_file(tmp_path):
    twins = [Task("x.jpg", tmp_path / "x.jpg"), Task("x.jpg", tmp_path / "x.jpg")]
    assert [task.name for task in named_apart(twins)] == ["x.jpg", "x.jpg"]


@pytest.mark.parametrize("wrong", ["other settings", "an input that cannot be used"])
def test_a_wrong_command_spoils_nothing(runner, wrong):
    produce = shout(runner.output, [])

    def refuse(task: Task) -> Product:
        raise ImageError("the point lies outside")

    runner("right")
    tasks = find_tasks([runner.inputs], SUFFIXES, runner.output)
    outcomes = run(
        tasks,
        produce if wrong == "other settings" else refuse,
        folder=runner.output,
        settings="wrong",
    )
    assert {outcome.status for outcome in outcomes} == {"failed"}
    statuses, made, _ = runner("right")
    assert set(statuses.values()) == {"skipped"}
    assert made == []


def test_a_forced_run_removes_what_an_input_no_longer_becomes(runner):
    run_pieces(runner, {"a.jpg": 3, "b.jpg": 2})
    (runner.output / "a.jpg_7.out").write_text("of somebody else")
    counts = {"a.jpg": 1, "b.jpg": 2}
    assert run_pieces(runner, counts, settings="other", force=True) == ["done", "done"]
    expected = ["a.jpg_0.out", "a.jpg_7.out", "b.jpg_0.out", "b.jpg_1.out"]
    assert made_files(runner.output) == expected


def test_a_file_that_another_input_made_since_is_neither_removed_nor_taken_for_ones_own(runner):
    def into(name: str, input_name: str, settings: str, force: bool = False) -> str:
        path = runner.output / name

        def produce(task: Task) -> Product:
            return Product(((path, task.name.encode()),))

        task = Task(input_name, runner.inputs / input_name)
        (outcome,) = run([task], produce, folder=runner.output, settings=settings, force=force)
        return outcome.status

    assert into("x.out", "a.jpg", "s") == "done"
    assert into("x.out", "b.jpg", "s") == "failed"
    assert into("x.out", "b.jpg", "s", force=True) == "done"
    assert into("x.out", "a.jpg", "s") == "failed"  # not skipped: it holds what b.jpg became
    assert into("y.out", "a.jpg", "t", force=True) == "done"
    assert (runner.output / "x.out").read_text() == "b.jpg"


def test_a_link_that_runs_in_a_circle_is_one_failed_input(runner):
    (runner.inputs / "b2.jpg").symlink_to("b2.jpg")
    statuses, _, outcomes = runner()
    assert statuses == {"a.jpg": "done", "b.jpg": "done", "b2.jpg": "failed", "c.jpg": "done"}
    assert "b2.jpg cannot be read: Too many levels of symbolic links" in outcomes[2].error


def test_a_pipe_and_a_folder_called_like_pictures_are_failed_inputs_and_never_opened(runner):
    os.mkfifo(runner.inputs / "b1.jpg")
    (runner.inputs / "b2.jpg").mkdir()
    statuses, _, outcomes = runner()
    assert [name for name, status in statuses.items() if status == "failed"] == ["b1.jpg", "b2.jpg"]
    assert "b1.jpg is a pipe, a socket or a device: expected a regular file" in outcomes[2].error
    assert "b2.jpg is a folder" in outcomes[3].error


def test_an_output_whose_name_is_too_long_fails_that_input_alone(runner):
    name = f"{'b' * 250}.jpg"
    (runner.inputs / name).write_text("long")
    statuses, _, outcomes = runner()
    assert statuses == {"a.jpg": "done", "b.jpg": "done", name: "failed", "c.jpg": "done"}
    assert "File name too long" in outcomes[2].error
