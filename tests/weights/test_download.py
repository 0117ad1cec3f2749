import io
import socket
import sys
from dataclasses import replace

import pytest
import requests

from samphire.errors import FetchError
from samphire.weights import download as downloading
from samphire.weights.download import download, part_path
from samphire.weights.sources import UrlSource


def fetch(files, folder, **changes):
    return download(files.source(**changes), folder, progress=False)


def test_a_file_arrives_whole_under_its_own_name(files, tmp_path):
    path = fetch(files, tmp_path)
    assert path == tmp_path / "tiny.pt"
    assert path.read_bytes() == files.content
    assert list(tmp_path.iterdir()) == [path]
    assert files.ranges == [None]


def test_a_connection_cut_off_half_way_is_taken_up_where_it_ended(files, tmp_path):
    files.mode = "cut once"
    assert fetch(files, tmp_path).read_bytes() == files.content
    first, second = files.ranges
    assert first is None
    start = int(second.removeprefix("bytes=").removesuffix("-"))
    assert len(files.content) // 3 < start <= len(files.content) // 2


def test_what_an_earlier_call_left_is_continued(files, tmp_path):
    part_path(files.source(), tmp_path).write_bytes(files.content[:1000])
    assert fetch(files, tmp_path).read_bytes() == files.content
    assert files.ranges == ["bytes=1000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.pt"]


def test_a_complete_part_needs_no_request(files, tmp_path):
    part_path(files.source(), tmp_path).write_bytes(files.content)
    assert fetch(files, tmp_path).read_bytes() == files.content
    assert files.ranges == []


def test_a_source_that_keeps_cutting_off_is_given_up_and_its_part_kept(files, tmp_path):
    files.mode = "cut always"
    with pytest.raises(FetchError, match=r"cut off 5 times: [\d,]+ of [\d,]+ bytes are kept"):
        fetch(files, tmp_path)
    part = part_path(files.source(), tmp_path).read_bytes()
    assert len(part) > len(files.content) // 2
    assert files.content.startswith(part)
    files.mode = "good"
    assert fetch(files, tmp_path).read_bytes() == files.content
    assert files.ranges[-1] == f"bytes={len(part)}-"


@pytest.mark.parametrize("mode", ["no ranges", "wrong ranges", "416"])
def test_a_server_that_cannot_continue_sends_the_file_from_its_beginning(files, tmp_path, mode):
    files.mode = mode
    if mode == "no ranges":
        part_path(files.source(), tmp_path).write_bytes(files.content[:1000])
    assert fetch(files, tmp_path).read_bytes() == files.content
    assert any(files.ranges)
    assert files.ranges[-1] is None or mode == "no ranges"


def test_a_damaged_part_is_found_and_not_kept(files, tmp_path):
    part_path(files.source(), tmp_path).write_bytes(bytes(1000))
    with pytest.raises(FetchError, match="its SHA-256 is"):
        fetch(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("404", "HTTP 404 Not Found"),
        ("500", "HTTP 500 Internal Server Error"),
        ("html", "it sent an HTML page"),
        ("disguised html", "it sent an HTML page"),
        ("wrong bytes", "its SHA-256 is .*: expected "),
        ("longer", r"the file there has [\d,]+ bytes: expected [\d,]+; it has changed"),
    ],
)
def test_what_is_not_the_file_is_named_and_not_kept(files, tmp_path, mode, reason):
    files.mode = mode
    with pytest.raises(FetchError, match=reason):
        fetch(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changed_since_the_part_was_left_is_refused(files, tmp_path):
    source = files.source(size=len(files.content) + 10)
    part_path(source, tmp_path).write_bytes(files.content[:1000])
    with pytest.raises(FetchError, match="it has changed"):
        download(source, tmp_path, progress=False)
    assert files.ranges == ["bytes=1000-", None]
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_more_than_the_file_is_not_read_to_its_end(files, tmp_path):
    files.mode = "endless"
    with pytest.raises(FetchError, match=r"it has 1\d\d,\d\d\d bytes: expected 100,000"):
        fetch(files, tmp_path, size=100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_is_said_in_words(files, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        source = UrlSource(f"http://127.0.0.1:{port}/tiny.pt", "tiny.pt", 1000, "0" * 64)
        with pytest.raises(
            FetchError, match=r"^no connection: Failed to .* refused \(0 of 1,000 bytes are here\)$"
        ):
            download(source, tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_says_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "_READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        source = UrlSource(f"http://127.0.0.1:{port}/tiny.pt", "tiny.pt", 1000, "0" * 64)
        with pytest.raises(FetchError, match=r"no data for 0\.2 s"):
            download(source, tmp_path, progress=False)


def test_a_full_disk_is_an_os_error(files, tmp_path, largest_file):
    with largest_file(100_000), pytest.raises(OSError, match="too large"):
        fetch(files, tmp_path)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_is_drawn_on_stderr_when_asked_for(files, tmp_path, monkeypatch, progress):
    monkeypatch.setattr(sys, "stderr", Terminal())
    download(files.source(), tmp_path, progress=progress)
    drawn = sys.stderr.getvalue()
    assert ("tiny.pt: 100%" in drawn) == progress
    assert bool(drawn) == progress


def test_no_bar_is_drawn_where_stderr_is_no_terminal(files, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    download(files.source(), tmp_path, progress=True)
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("mode", ["good", "cut once"])
def test_a_size_that_is_not_known_is_asked_for(files, tmp_path, mode):
    files.mode = mode
    source = replace(files.source(), size=None)
    assert download(source, tmp_path, progress=False).read_bytes() == files.content


@pytest.mark.parametrize(
    ("mode", "reason"), [("404", "HTTP 404"), ("endless", "no size of the file")]
)
def test_a_server_that_does_not_say_the_size_is_refused(files, tmp_path, mode, reason):
    files.mode = mode
    with pytest.raises(FetchError, match=reason):
        download(replace(files.source(), size=None), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_any_size_must_have_the_hash(files, tmp_path):
    files.mode = "wrong bytes"
    with pytest.raises(FetchError, match="its SHA-256 is"):
        download(replace(files.source(), size=None), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [10, None])
def test_a_server_has_three_seconds_to_answer(tmp_path, monkeypatch, size):
    asked = []

    def refuse(*_, timeout, **__):
        asked.append(timeout)
        raise requests.ConnectTimeout

    monkeypatch.setattr(downloading.requests, "get", refuse)
    monkeypatch.setattr(downloading.requests, "head", refuse)
    source = UrlSource("http://example.invalid/a.pt", "a.pt", size, "a" * 64)
    with pytest.raises(FetchError, match="no connection within 3 s"):
        download(source, tmp_path, progress=False)
    assert asked == [(3, 30)]
