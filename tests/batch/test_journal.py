"""The journal: what was written is there after a kill, one run at a time."""

import json

import pytest

from samphire.batch.journal import FILE_NAME, Entry, open_journal, settings_id
from samphire.errors import FileFormatError, OutputExistsError

DONE = Entry("a.jpg", "c" * 64, "s" * 64, "done", ("a.mask.png",))


def test_the_last_line_of_an_input_counts_and_survives(tmp_path):
    with open_journal(tmp_path) as journal:
        assert journal.last("a.jpg") is None
        journal.append(Entry("a.jpg", "c" * 64, "s" * 64, "writing", ("a.mask.png",)))
        journal.append(DONE)
        assert journal.last("a.jpg") == DONE
    with open_journal(tmp_path) as journal:
        assert journal.last("a.jpg") == DONE


def test_each_line_is_on_the_disk_when_append_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    with open_journal(tmp_path) as journal:
        before = len(synced)
        journal.append(DONE)
        assert len(synced) == before + 1
        assert len((tmp_path / FILE_NAME).read_text().splitlines()) == 2


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_is_forgotten_and_overwritten(tmp_path, cut):
    with open_journal(tmp_path) as journal:
        journal.append(DONE)
        journal.append(Entry("b.jpg", "c", "s", "done", ("b.png",)))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    with open_journal(tmp_path) as journal:
        assert journal.last("a.jpg") is not None
        assert journal.last("b.jpg") is None
        journal.append(Entry("c.jpg", "c", "s", "failed", error="no"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("input") for line in lines] == [None, "a.jpg", "c.jpg"]


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    with (
        open_journal(tmp_path),
        pytest.raises(OutputExistsError, match="another run is writing"),
        open_journal(tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": "samphire-journal", "version": 2}\n', "version 2"),
        ('{"format": "other", "version": 1}\n', "is other"),
        ("nonsense\n", "is damaged"),
        ('{"format": "samphire-journal", "version": 1}\n{"input": "a"}\n', "is damaged"),
        ("[1, 2]\n", "is damaged"),
    ],
)
def test_a_damaged_or_newer_journal_is_refused_and_kept(tmp_path, text, message):
    path = tmp_path / FILE_NAME
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message), open_journal(tmp_path):
        pass
    assert path.read_text() == text


def test_settings_differ_where_a_value_differs():
    assert settings_id({"points": [[1, 2]]}) != settings_id({"points": [[1, 3]]})


@pytest.mark.parametrize("output", ["../precious", "/precious", "deep/../../precious"])
def test_a_journal_that_speaks_of_files_outside_its_folder_is_refused(tmp_path, output):
    with open_journal(tmp_path) as journal:
        journal.append(Entry("a.jpg", "c", "s", "done", (output,)))
    with pytest.raises(FileFormatError, match="lies outside the folder"), open_journal(tmp_path):
        pass


def test_the_last_input_that_made_an_output_is_its_maker(tmp_path):
    with open_journal(tmp_path) as journal:
        assert journal.maker("x.png") is None
        for name in ("b.jpg", "a.jpg", "b.jpg"):
            journal.append(Entry(name, "c", "s", "done", ("x.png",)))
        journal.append(Entry("a.jpg", "c", "s", "failed"))
        assert journal.maker("x.png") == "b.jpg"
    with open_journal(tmp_path) as journal:
        assert journal.maker("x.png") == "b.jpg"
