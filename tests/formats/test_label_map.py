"""Label maps: every value is a mask, any viewer opens the picture, and the table tells the rest."""

import csv
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from samphire import load_masks, save_masks
from samphire.errors import FileFormatError
from samphire.formats import Picture, label_map
from samphire.masks import Masks
from samphire.masks.partition import partition

SUFFIXES = [".labels.png", ".labels.tif"]


def disjoint(numbers):
    """One mask for each value above 0."""
    return Masks.from_arrays([numbers == value for value in range(1, int(numbers.max()) + 1)])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@given(numbers=arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_masks_that_do_not_overlap_come_back_exactly(suffix, numbers, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"it{suffix}"
    masks = disjoint(np.abs(numbers) % 5 + 1)
    masks = dataclasses.replace(
        masks,
        name=tuple("abcde"[: len(masks)]),
        predicted_iou=np.linspace(0.5, 1, len(masks)),
        point=np.full((len(masks), 2), 1.5),
        label=np.arange(len(masks)),
    )
    assert label_map.losses(masks) == ()
    save_masks(masks, path)
    assert load_masks(path).equal(masks)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("count", "bits"), [(255, 8), (256, 16), (700, 16)])
def test_the_picture_has_as_many_bits_as_it_needs_and_opens_elsewhere(
    suffix, count, bits, tmp_path
):
    numbers = np.zeros((30, 40), np.int32)
    numbers.ravel()[: count + 1] = np.arange(count + 1)
    path = tmp_path / f"it{suffix}"
    save_masks(disjoint(numbers), path)
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
        assert picture.mode == {8: "L", 16: "I;16"}[bits]
    np.testing.assert_array_equal(pixels, numbers)
    assert len(load_masks(path)) == count


def test_smaller_masks_lie_on_top_and_what_is_lost_is_counted(tmp_path):
    dense = np.zeros((4, 12, 12), np.bool_)
    dense[0, 1:11, 1:11] = dense[1, 2:5, 2:5] = dense[3, 0, 0] = True
    dense[2] = dense[1]  # the later of equal ones lies on top
    masks = Masks.from_arrays(dense)
    assert label_map.losses(masks) == (
        "2 masks of 4 under smaller ones: a label map gives each pixel to the smallest",
        "1 mask wholly covered by smaller ones: in the table alone",
    )
    path = tmp_path / "it.labels.png"
    save_masks(masks, path)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), partition(masks))
    rows = list(csv.DictReader((tmp_path / "it.labels.csv").read_text().splitlines()))
    assert [int(row["area"]) for row in rows] == [100, 9, 9, 1]
    assert [int(row["visible_area"]) for row in rows] == [91, 0, 9, 1]
    assert load_masks(path).area.tolist() == [91, 0, 9, 1]
    (tmp_path / "it.labels.csv").unlink()
    assert load_masks(path).area.tolist() == [91, 9, 1]


@pytest.mark.slow
def test_more_masks_than_16_bits_are_refused():
    one = Masks.from_arrays(np.ones((1, 1, 1)))
    many = one[np.zeros(65536, int)]
    with pytest.raises(FileFormatError, match="65536 masks: a label map tells at most 65535 apart"):
        list(label_map.encode(many, Picture()))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_pictures_and_tables_are_refused_by_name(suffix, tmp_path):
    path = tmp_path / f"it{suffix}"
    save_masks(disjoint(np.eye(9, dtype=np.int32)), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=r"it\.labels"):
        load_masks(path)
    path.write_bytes(whole)
    (tmp_path / "it.labels.csv").write_text("id,name\none,x\n")
    with pytest.raises(FileFormatError, match=r"it\.labels\.csv"):
        load_masks(path)


@pytest.fixture
def three(tmp_path):
    """A label map of three masks named a, b, c, and its table."""
    path = tmp_path / "it.labels.png"
    masks = disjoint(np.arange(12).reshape(3, 4) // 4 + 1)
    save_masks(dataclasses.replace(masks, name=("a", "b", "c")), path)
    return path, path.with_suffix(".csv")


def test_masks_come_in_order_of_value_whatever_the_order_of_rows(three):
    path, table = three
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *reversed(rows)]))
    assert load_masks(path).name == ("a", "b", "c")


def test_a_value_without_a_row_is_a_mask_without_a_name(three):
    path, table = three
    head, first, _, third = table.read_text().splitlines()
    table.write_text("\n".join([head, first, third]))
    found = load_masks(path)
    assert found.name == ("a", "", "c")
    assert found.area.tolist() == [4, 4, 4]


@pytest.mark.parametrize("name", ["a\rb", "a\r\nb", "a\nb", 'a"b,', "\0", " a"])
def test_any_name_comes_back(name, tmp_path):
    path = tmp_path / "it.labels.png"
    masks = dataclasses.replace(disjoint(np.ones((2, 3), np.int32)), name=(name,))
    save_masks(masks, path)
    assert load_masks(path).equal(masks)


def test_a_table_saved_with_a_byte_order_mark_is_read(three):
    path, table = three
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert load_masks(path).name == ("a", "b", "c")


@pytest.mark.parametrize(
    "row",
    [
        "0,a,0,,,,,,,,,,",
        "-1,a,0,,,,,,,,,,",
        "65536,a,0,,,,,,,,,,",
        "2,a,0,,,,,,,,,,\n2,b,0,,,,,,,,,,",
        "1,a,99999999999,,,,,,,,,,",
        "1,a,0,,,1e39,,,,,,,",
        "1,a,0,,,,-1e300,,,,,,",
        "1," + "a" * 200_000 + ",0,,,,,,,,,,",
    ],
    ids=lambda row: row[:30],
)
def test_a_row_that_cannot_be_is_refused_by_the_tables_name(row, three):
    path, table = three
    table.write_text(f"{table.read_text().splitlines()[0]}\n{row}\n")
    with pytest.raises(FileFormatError, match=r"it\.labels\.csv"):
        load_masks(path)
