import numpy as np
import pytest

from samphire import load_masks, save_masks, segment
from samphire.errors import FileFormatError
from samphire.formats import FORMATS, Picture, format_of
from samphire.masks import Masks


@pytest.fixture
def mask():
    """Of two parts, without holes: every format can hold it."""
    dense = np.zeros((1, 6, 9), np.bool_)
    dense[0, 1:4, 1:5] = dense[0, 2, 5] = dense[0, 4:, 7:] = True
    return Masks.from_arrays(dense)


READABLE = [name for name, known in FORMATS.items() if known.read is not None]
NO_EMPTY_MASKS = {"yolo"}  # a line needs points
# What an empty set of masks cannot say there: the size of the picture.
NO_SIZE_WHEN_EMPTY = {"segment-anything", "segment-anything-rle"}


def target(folder, name):
    return folder / f"dog{FORMATS[name].suffix}"


def write(masks, folder, name):
    height, width = masks.size.height, masks.size.width
    picture = Picture("dog.jpg", "dog.jpg", np.full((height, width, 3), 99, np.uint8))
    save_masks(masks, target(folder, name), name, picture=picture)


def read(folder, name):
    return load_masks(target(folder, name), name, image="9x6" if name == "yolo" else None)


def written(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_is_keyed_by_the_names_and_has_one_line_summaries(name):
    known = FORMATS[name]
    assert known.name == name
    assert known.suffix.startswith(".") or name == "segment-anything"
    assert known.summary
    assert "\n" not in known.summary
    assert bool(known.combined) == (known.combine is not None)


@pytest.mark.parametrize("name", READABLE)
def test_what_is_written_is_read_back(name, mask, tmp_path):
    write(mask, tmp_path, name)
    found = read(tmp_path, name)
    np.testing.assert_array_equal(found.to_array(), mask.to_array())
    if not FORMATS[name].losses(mask):
        assert found.equal(mask)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_exactly_the_files_that_the_format_names_are_made(name, count, rng, tmp_path):
    write(Masks.from_arrays(rng.random((count, 6, 9)) > 0.5), tmp_path, name)
    assert written(tmp_path) == sorted(FORMATS[name].paths(target(tmp_path, name), count))


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_masks_give_the_same_bytes(name, mask, tmp_path):
    write(mask, tmp_path / "a", name)
    write(mask, tmp_path / "b", name)
    for first, second in zip(written(tmp_path / "a"), written(tmp_path / "b"), strict=True):
        assert first.read_bytes() == second.read_bytes()


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


@pytest.mark.parametrize("name", READABLE)
def test_a_file_is_replaced_and_a_failing_writer_leaves_the_old_one(
    name, mask, tmp_path, monkeypatch
):
    other = Masks.from_arrays(mask.to_array()[:, ::-1])
    write(other, tmp_path, name)
    write(mask, tmp_path, name)
    before = written(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("samphire.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(other, tmp_path, name)
    np.testing.assert_array_equal(read(tmp_path, name).to_array(), mask.to_array())
    assert written(tmp_path) == before


@pytest.mark.parametrize("name", READABLE)
def test_a_missing_file_is_an_os_error(name, tmp_path):
    with pytest.raises(FileNotFoundError):
        load_masks(tmp_path / f"none{FORMATS[name].suffix}", name, image="9x6")


@pytest.mark.parametrize("name", READABLE)
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"<html></html>", b"\0" * 100])
def test_a_foreign_file_is_a_file_format_error_that_names_it(name, content, tmp_path):
    if name == "yolo" and not content:
        return  # a picture without objects
    path = FORMATS[name].paths(target(tmp_path, name), 0 if name == "segment-anything" else 1)[0]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=path.name):
        load_masks(path, name, image="9x6")


@pytest.mark.parametrize("name", READABLE)
def test_masks_of_no_pixels_of_one_and_of_all_are_kept(name, tmp_path):
    dense = np.zeros((3, 6, 9), np.bool_)
    dense[1, 2, 3] = dense[2] = True
    for index in range(3):
        write(Masks.from_arrays(dense[index : index + 1]), tmp_path / f"{index}", name)
        found = read(tmp_path / f"{index}", name)
        if name in NO_EMPTY_MASKS and index == 0:
            assert len(found) == 0
        else:
            np.testing.assert_array_equal(found.to_array(), dense[index : index + 1])


@pytest.mark.parametrize("name", READABLE)
def test_no_masks_come_back_as_none(name, tmp_path):
    nothing = Masks.from_arrays(np.zeros((0, 6, 9)))
    if name == "png":
        return  # no file at all
    write(nothing, tmp_path, name)
    if name in NO_SIZE_WHEN_EMPTY:
        with pytest.raises(FileFormatError, match="no masks, and so no size"):
            read(tmp_path, name)
    else:
        assert read(tmp_path, name).equal(nothing)


def test_a_format_that_is_only_written_says_so(mask, tmp_path):
    for name in FORMATS.keys() - set(READABLE):
        write(mask, tmp_path, name)
        with pytest.raises(FileFormatError, match=f"{name} is written only"):
            load_masks(written(tmp_path)[0], name)


def test_a_json_file_is_known_by_its_content_whatever_its_name(mask, tmp_path):
    for name in READABLE:
        if FORMATS[name].suffix.endswith("json"):
            path = tmp_path / f"{name}.json"
            save_masks(mask, path, name)
            np.testing.assert_array_equal(load_masks(path).to_array(), mask.to_array())


@pytest.mark.parametrize("name", READABLE)
def test_masks_of_every_format_can_be_refined_with_clicks(name, mask, tiny_engine, rng, tmp_path):
    write(mask, tmp_path, name)
    rough = read(tmp_path, name)
    photo = rng.integers(0, 256, (6, 9, 3), np.uint8)
    better = segment(tiny_engine, photo, mask=rough.to_array(), points=[(3, 2)])
    alone = segment(tiny_engine, photo, points=[(3, 2)], multimask=False)
    assert (len(better), better.size) == (1, mask.size)
    assert better.predicted_iou[0] != alone.predicted_iou[0]
