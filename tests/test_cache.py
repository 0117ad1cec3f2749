"""The cache: what is kept, what goes, and that nothing which goes wrong costs more than a file."""

import errno
import hashlib
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from samphire import atomic
from samphire.cache import LOCK_NAME, Cache, cache_dir, parse_bytes


def key(text) -> str:
    return f"{hashlib.sha256(str(text).encode()).hexdigest()}.test"


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", max_bytes=1000)


def test_what_is_kept_is_read_back_and_another_key_is_not_there(cache):
    assert cache.read(key("a")) is None
    assert cache.write(key("a"), b"first")
    assert bytes(cache.read(key("a"))) == b"first"
    assert cache.read(key("b")) is None
    assert bytes(Cache(cache.folder).read(key("a"))) == b"first"


def test_what_is_written_again_is_replaced_and_counted_once(cache):
    cache.write(key("a"), b"x" * 600)
    assert cache.write(key("a"), b"y" * 700)
    assert bytes(cache.read(key("a"))) == b"y" * 700
    assert cache.used_bytes() == 700


def test_what_is_written_again_costs_no_other_its_place(cache):
    cache.write(key("a"), bytes(500))
    cache.write(key("b"), bytes(500))
    cache.write(key("b"), bytes(400))
    assert cache.read(key("a")) is not None


def test_the_bytes_are_mapped_read_only_and_stay_when_the_file_goes(cache):
    cache.write(key("a"), b"x" * 900)
    kept = cache.read(key("a"))
    assert kept.readonly
    cache.write(key("b"), b"y" * 900)
    assert cache.read(key("a")) is None
    assert bytes(kept) == b"x" * 900


def test_the_bound_holds_after_every_write(cache, rng):
    for step in range(60):
        size = int(rng.integers(1, 400))
        assert cache.write(key(step), bytes(size))
        on_disk = sum(path.stat().st_size for path in cache.folder.iterdir())
        assert on_disk == cache.used_bytes() <= 1000
    assert cache.used_bytes() > 500


def test_what_was_used_longest_ago_goes_first(cache):
    for name in "abc":
        cache.write(key(name), bytes(300))
    cache.read(key("a"))
    cache.write(key("d"), bytes(300))
    assert [name for name in "abcd" if cache.read(key(name)) is not None] == ["a", "c", "d"]


def test_more_than_the_bound_is_not_kept_and_costs_nothing_else(cache):
    cache.write(key("a"), bytes(900))
    assert not cache.write(key("b"), bytes(1001))
    assert cache.read(key("a")) is not None
    assert cache.write(key("b"), bytes(1000))


def test_files_of_others_in_the_folder_are_never_touched_or_counted(cache):
    cache.folder.mkdir()
    others = [cache.folder / name for name in ("photo.jpg", ".hidden", ".a.1234.tmp.png", "f" * 64)]
    for path in others[:3]:
        path.write_bytes(bytes(5000))
    (cache.folder / ("f" * 64)).mkdir()
    for step in range(5):
        assert cache.write(key(step), bytes(400))
    assert all(path.exists() for path in others)
    assert cache.used_bytes() == 800


def test_a_file_that_cannot_be_removed_keeps_the_bound_and_is_said(cache, monkeypatch):
    cache.write(key("a"), bytes(900))
    remove = Path.unlink

    def refuse(path, missing_ok=False):
        if path.name == key("a"):
            raise PermissionError(errno.EACCES, "mapped by another program")
        remove(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert not cache.write(key("b"), bytes(900))
    assert cache.used_bytes() == 900


def test_an_empty_file_counts_as_absent_and_is_removed(cache):
    cache.write(key("a"), b"x")
    (cache.folder / key("a")).write_bytes(b"")
    assert cache.read(key("a")) is None
    assert not (cache.folder / key("a")).exists()


def test_a_folder_in_the_place_of_a_file_counts_as_absent(cache):
    (cache.folder / key("a")).mkdir(parents=True)
    assert cache.read(key("a")) is None


def test_what_is_discarded_is_gone_and_may_be_discarded_twice(cache):
    cache.write(key("a"), b"x")
    cache.discard(key("a"))
    cache.discard(key("a"))
    assert cache.read(key("a")) is None
    assert cache.used_bytes() == 0


def test_only_the_owner_can_read_a_folder_that_was_made_here(cache):
    cache.write(key("a"), b"x")
    if os.name == "posix":
        assert cache.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("bad", ["", "../" + "a" * 64, "a" * 63, "A" * 64, "a" * 64 + "/b", "x"])
def test_a_key_that_could_leave_the_folder_is_refused(cache, bad):
    for use in (cache.read, cache.discard, lambda given: cache.write(given, b"x")):
        with pytest.raises(ValueError, match="expected a SHA-256 in hex"):
            use(bad)


def test_a_bound_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="max_bytes=0: expected a number of bytes above 0"):
        Cache(tmp_path, max_bytes=0)


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        Cache(tmp_path / "file" / "cache").write(key("a"), b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is POSIX's")
def test_a_write_that_the_system_cuts_leaves_nothing(tmp_path):
    code = f"""
import resource, signal
from pathlib import Path
from samphire.cache import Cache
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
cache = Cache(Path({str(tmp_path)!r}))
assert cache.write({key("small")!r}, bytes(900))
try:
    cache.write({key("large")!r}, bytes(2000))
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == os.strerror(errno.EFBIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([LOCK_NAME, key("small")])


def test_what_a_killed_writer_left_is_removed_by_the_next_and_counts_meanwhile(cache):
    code = f"""
import os
from pathlib import Path
from samphire.cache import Cache
os.fsync = lambda descriptor: os._exit(9)  # killed with the temporary file written
Cache(Path({str(cache.folder)!r}), 1000).write({key("a")!r}, bytes(500))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 9
    (leftover,) = [path for path in cache.folder.iterdir() if path.name != LOCK_NAME]
    assert leftover.name.startswith(".")
    assert cache.used_bytes() == 500
    assert cache.read(key("a")) is None
    assert cache.write(key("b"), bytes(80))
    assert not leftover.exists()
    assert cache.used_bytes() == 80


def write_many(folder, worker):
    """One of several processes that write and read at once; gives the largest use it saw."""
    cache = Cache(folder, max_bytes=20_000)
    most = 0
    for step in range(40):
        data = f"{step % 10}:".encode() * 1000
        assert cache.write(key(step % 10), data)
        most = max(most, cache.used_bytes())
        found = cache.read(key((step * 7 + worker) % 10))
        if found is not None:
            step_of = bytes(found[:1])
            assert bytes(found) == step_of + b":" + (step_of + b":") * 999
    return most


def test_processes_that_write_at_once_see_whole_files_and_keep_the_bound(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        most = pool.starmap(write_many, [(tmp_path, 0), (tmp_path, 1)])
    assert max(most) <= 20_000
    left = [path.name for path in tmp_path.iterdir() if path.name != LOCK_NAME]
    assert 0 < len(left) <= 10
    assert not any(name.startswith(".") for name in left)


def test_a_lock_that_is_held_for_long_is_an_os_error(cache, monkeypatch):
    from filelock import FileLock

    from samphire import cache as module

    cache.folder.mkdir()
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.01)
    with FileLock(cache.folder / LOCK_NAME), pytest.raises(OSError, match=r"(?i)lock"):
        cache.write(key("a"), b"x")


def test_the_order_of_use_is_finer_than_the_file_systems_clock(cache):
    names = [str(index) for index in range(20)]
    for name in names:
        cache.write(key(name), bytes(10))
    stamps = [(cache.folder / key(name)).stat().st_mtime_ns for name in names]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == len(stamps)
    assert abs(stamps[-1] - time.time_ns()) < 60 * 10**9


def test_temporary_files_of_this_cache_are_those_that_atomic_makes(tmp_path):
    from samphire.cache import _LEFTOVER

    for name in (key("a"), f"{'0' * 64}.embedding.safetensors", "0" * 64):
        with atomic.replacing(tmp_path / name) as temporary:
            temporary.write_bytes(b"x")
            assert _LEFTOVER.fullmatch(temporary.name)
    with atomic.replacing(tmp_path / "photo.png") as temporary:
        temporary.write_bytes(b"x")
        assert not _LEFTOVER.fullmatch(temporary.name)


@pytest.mark.parametrize("text", ["", "0", "GB", "-1GB", "1 XB", "nan", "1e9", "10 GB!", "0.1"])
def test_what_is_no_number_of_bytes_is_refused(text):
    with pytest.raises(ValueError, match="is not a number of bytes: expected one like 500MB"):
        parse_bytes(text)


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("SAMPHIRE_CACHE", "~/models")
    assert cache_dir() == Path.home() / "models"
