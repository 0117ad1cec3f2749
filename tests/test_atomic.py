import threading
from pathlib import Path

import pytest

from samphire import atomic


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "masks.json"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "masks.json"
    path.write_bytes(b"old")
    with atomic.replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_lies_beside_the_path_and_keeps_its_suffix(tmp_path):
    path = tmp_path / "dog.png"
    with atomic.replacing(path) as temporary:
        temporary.write_bytes(b"")
        assert temporary.parent == path.parent
        assert temporary.suffix == ".png"
        assert temporary != path


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    atomic.write_bytes(path, b"data")
    assert path.read_bytes() == b"data"


def test_a_block_that_writes_nothing_is_an_error_and_not_an_empty_file(tmp_path):
    path = tmp_path / "file.bin"
    with pytest.raises(FileNotFoundError), atomic.replacing(path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_name_as_long_as_the_disk_allows_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".bin")
    atomic.write_bytes(path, b"data")
    assert path.read_bytes() == b"data"


def test_threads_that_write_one_path_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file.bin"
    both_opened = threading.Barrier(2, timeout=10)
    failures: list[BaseException] = []

    def write(letter: bytes) -> None:
        try:
            with atomic.replacing(path) as temporary:
                temporary.write_bytes(letter * 1000)
                both_opened.wait()
                assert temporary.read_bytes() == letter * 1000
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert path.read_bytes() in {b"a" * 1000, b"b" * 1000}
    assert [Path(left) for left in tmp_path.iterdir()] == [path]


def test_an_open_reader_keeps_the_old_file_whole(tmp_path):
    path = tmp_path / "masks.json"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        atomic.write_bytes(path, b"new and longer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new and longer"


def test_the_data_are_on_the_disk_before_the_name_points_to_them(tmp_path, monkeypatch):
    path, steps = tmp_path / "masks.json", []
    fsync, replace = atomic.os.fsync, Path.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda file: (steps.append("sync"), fsync(file)))
    monkeypatch.setattr(Path, "replace", lambda *given: (steps.append("name"), replace(*given)))
    atomic.write_bytes(path, b"data")
    assert steps == ["sync", "name"]
