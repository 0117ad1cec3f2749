"""Tables of prompts: what rows mean, what is met in the wild, what is refused by its line."""

import pytest

from samphire.errors import FileFormatError
from samphire.formats.prompts_file import load_prompts


@pytest.fixture
def load(tmp_path):
    def from_text(text, name="boxes.csv", encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return load_prompts(tmp_path / name)

    return from_text


def shown(named):
    """Every object as (box, points, labels, name)."""
    return [
        (item.box.tolist() if item.box is not None else None, item.points.tolist(), labels, name)
        for item, name in zip(named.prompts.objects, named.names, strict=True)
        for labels in [item.labels.tolist()]
    ]


def test_a_row_with_a_box_is_an_object_with_its_name(load):
    file = load(
        "image,x0,y0,x1,y1,label\na.jpg,1,2,3.5,4,dog\nb/c.jpg,0,0,9,9,\na.jpg,5,5,6,6,cat\n"
    )
    assert list(file.images) == ["a.jpg", "b/c.jpg"]
    assert shown(file.images["a.jpg"]) == [
        ([1, 2, 3.5, 4], [], [], "dog"),
        ([5, 5, 6, 6], [], [], "cat"),
    ]
    assert shown(file.images["b/c.jpg"]) == [([0, 0, 9, 9], [], [], "")]
    assert file.images["a.jpg"].labels == (0, 0)
    assert file.notes == ()
    assert file.shared is None


def test_points_without_an_object_are_one_object_a_picture(load):
    file = load("image,x,y,point_label\na.jpg,1,2,1\nb.jpg,7,8,\na.jpg,3,4,0\n")
    assert shown(file.images["a.jpg"]) == [(None, [[1, 2], [3, 4]], [1, 0], "")]
    assert shown(file.images["b.jpg"]) == [(None, [[7, 8]], [1], "")]


def test_rows_with_the_same_object_are_one_object_of_points_and_a_box(load):
    file = load(
        "image,object,x,y,point_label,x0,y0,x1,y1,label\n"
        "a.jpg,7,1,2,1,,,,,door\n"
        "a.jpg,8,5,5,,0,0,9,9,\n"
        "a.jpg,7,,,,1,1,4,4,\n"
        "a.jpg,7,3,3,0,,,,,door\n"
        "a.jpg,,,,,2,2,8,8,window\n"
    )
    assert shown(file.images["a.jpg"]) == [
        ([1, 1, 4, 4], [[1, 2], [3, 3]], [1, 0], "door"),
        ([0, 0, 9, 9], [[5, 5]], [1], ""),
        ([2, 2, 8, 8], [], [], "window"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_line_ends_and_byte_order_marks_of_the_wild(load, encoding, end, separator):
    rows = [["Image ", "X0", "y0", "x1", "y1", "label"], ['"ü, ö.jpg"', "1", "2", "3", "4", "hünd"]]
    text = end.join(separator.join(row) for row in rows) + end + end
    file = load(text, encoding=encoding)
    assert shown(file.images["ü, ö.jpg"]) == [([1, 2, 3, 4], [], [], "hünd")]


def test_a_decimal_comma_is_read_beside_semicolons_only(load):
    file = load("image;x;y\na.jpg;1,5;2\n")
    assert shown(file.images["a.jpg"]) == [(None, [[1.5, 2]], [1], "")]
    with pytest.raises(FileFormatError, match=r"line 2: x is '1,5'"):
        load('image,x,y\na.jpg,"1,5",2\n')


def test_other_columns_are_left_out_and_told(load):
    file = load("id,image,x,y,score\n1,a.jpg,1,2,0.5\n")
    assert file.notes == ("2 columns left out: id, score",)


def test_names_of_windows_are_read(load):
    assert list(load("image,x,y\nscans\\1\\a.png,1,2\n").images) == ["scans/1/a.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("image,x0,y0,x1,y1\n", "no row below its header"),
        ("photo,x0,y0,x1,y1\na.jpg,1,2,3,4\n", r"line 1: the columns are .*photo, x0.* expected a"),
        ("image,x0,y0,x1\na.jpg,1,2,3\n", "line 1: the columns are"),
        ("a.jpg,1,2,3,4\n", "line 1: .* expected a header with image,x0,y0,x1,y1 or image,x,y"),
        ("image,x,y,x\na.jpg,1,2,3\n", "line 1: the column x is there twice"),
        ("image,x,y\na.jpg,1,2\n,3,4\n", "line 3: '' is not the name of a picture"),
        ("image,x,y\na.jpg,1,\n", "line 2: y is empty"),
        ("image,x,y,label\na.jpg,,,dog\n", "line 2: it has neither a box .* nor a point"),
        ("image,x,y\na.jpg,1,nan\n", "line 2: y is 'nan': expected a finite number"),
        ("image,x,y\na.jpg,inf,2\n", "line 2: x is 'inf': expected a finite number"),
        ("image,x,y\na.jpg,1e999,2\n", "line 2: x is '1e999'"),
        ("image,x,y\na.jpg,one,2\n", "line 2: x is 'one'"),
        ("image,x,y\na.jpg,1,2,3\n", "line 2: 4 values for 3 columns"),
        ("image,x,y,point_label\na.jpg,1,2,2\n", "line 2: point_label is '2': expected 1 on"),
        ("image,x0,y0,x1,y1\na.jpg,5,5,1,1\n", "line 2: box .* is empty: expected x0 < x1"),
        ("image,object,x0,y0,x1,y1\na,1,0,0,1,1\na,1,0,0,2,2\n", "line 3: a second box for obj"),
        ("image,object,x,y,label\na,1,0,0,dog\na,1,2,2,cat\n", "line 3: .* called 'dog' on an"),
        ("image,x,y,x0,y0,x1,y1\na,,,0,0,9,9\na,1,2,,,,\n", "line 3: a point of a picture that h"),
        ('image,x,y\n"a.jpg,1,2\n', "line 3: |line 2: "),
        (f"image,x,y\n{'a' * 1001},1,2\n", "line 2: .* is not the name of a picture"),
        (f"image,x,y\n{'a' * 200_000},1,2\n", "line 2: field larger than field limit"),
        ("image,x,y\0\na,1,2\n", "holds zero bytes"),
    ],
)
def test_a_table_that_is_not_right_is_refused_by_its_line(load, text, message):
    with pytest.raises(FileFormatError, match=f"boxes.csv cannot be used as prompts: .*{message}"):
        load(text)


def test_another_encoding_is_refused_with_what_to_do(load):
    with pytest.raises(
        FileFormatError,
        match=r"not a text in UTF-8 \(byte 10\): expected CSV or JSON, saved as UTF-8",
    ):
        load("image,x,y\nü.jpg,1,2\n", encoding="latin-1")
