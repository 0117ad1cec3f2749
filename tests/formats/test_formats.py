import numpy as np
import pytest

from samphire import load_masks, save_masks
from samphire.errors import FileFormatError
from samphire.formats import FORMATS, format_of
from samphire.masks import Masks


@pytest.fixture
def mask(rng):
    return Masks.from_arrays(rng.random((1, 6, 9)) > 0.5)


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_is_keyed_by_the_names_and_has_one_line_summaries(name):
    known = FORMATS[name]
    assert known.name == name
    assert known.suffix.startswith(".")
    assert known.summary
    assert "\n" not in known.summary


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_back(name, mask, tmp_path):
    path = tmp_path / f"dog{FORMATS[name].suffix}"
    save_masks(mask, path)
    assert load_masks(path).equal(mask)
    assert load_masks(str(path), name).equal(mask)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_exactly_the_files_that_the_format_names_are_made(name, count, rng, tmp_path):
    masks = Masks.from_arrays(rng.random((count, 6, 9)) > 0.5)
    path = tmp_path / f"dog{FORMATS[name].suffix}"
    save_masks(masks, path)
    assert sorted(tmp_path.iterdir()) == sorted(FORMATS[name].paths(path, count))


@pytest.mark.parametrize("path", ["a.json", "a.JSON", "dir.png/a.Json"])
def test_the_suffix_decides_in_any_case_of_letters(path):
    assert format_of(path).name == "json"


def test_a_name_outranks_the_suffix(mask, tmp_path):
    path = tmp_path / "mask.json"
    save_masks(mask, path, "png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert format_of("mask.json", "png").name == "png"
    assert load_masks(path, "png").equal(mask)


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("dog.tiff", None, "the suffix '.tiff' of dog.tiff is not known: expected one of json"),
        ("dog", None, "the suffix '' of dog is not known"),
        ("dog.png", "voc", "format 'voc' is not known: expected one of json .*png"),
    ],
)
def test_a_format_that_is_not_known_is_refused_with_those_that_are(path, name, message):
    with pytest.raises(FileFormatError, match=message):
        format_of(path, name)


def test_an_unknown_format_writes_nothing(mask, tmp_path):
    with pytest.raises(FileFormatError):
        save_masks(mask, tmp_path / "dog.xyz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_replaced_and_a_failing_writer_leaves_the_old_one(
    name, mask, tmp_path, monkeypatch
):
    path = tmp_path / f"dog{FORMATS[name].suffix}"
    other = Masks.from_arrays(~mask.to_array())
    save_masks(other, path)
    save_masks(mask, path)
    assert load_masks(path).equal(mask)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("samphire.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_masks(other, path)
    assert load_masks(path).equal(mask)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_file_is_an_os_error(name, tmp_path):
    with pytest.raises(FileNotFoundError):
        load_masks(tmp_path / f"none{FORMATS[name].suffix}")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"<html></html>", b"\0" * 100])
def test_a_foreign_file_is_a_file_format_error_that_names_it(name, content, tmp_path):
    path = tmp_path / f"dog{FORMATS[name].suffix}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=path.name):
        load_masks(path)


def test_masks_of_no_pixels_and_of_all_pixels_are_kept(tmp_path):
    for value in (0, 1):
        masks = Masks.from_arrays(np.full((1, 3, 4), value))
        for known in FORMATS.values():
            path = tmp_path / f"dog{known.suffix}"
            save_masks(masks, path)
            assert load_masks(path).equal(masks)
