"""The page over many pictures: what is in it, and what can never get out of its place."""

import base64
import html.parser
import io
import json
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from samphire.formats import Picture
from samphire.formats.page import Sheet, encode, is_page
from samphire.masks import Masks
from samphire.masks.colours import COLOURS, colour_numbers
from samphire.masks.colours import rgb as colour_of
from samphire.masks.resize import resize

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@pytest.fixture
def masks(rng):
    dense = np.zeros((3, 60, 90), bool)
    dense[0, 10:50, 5:80] = True
    dense[1, 20:30, 20:40] = True
    return replace(
        Masks.from_arrays(dense),
        predicted_iou=[0.9, np.nan, 0.75],
        stability=[0.5, 0.25, 1],
        name=("dog", "", ""),
    )


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (60, 90, 3), np.uint8)


class _Parser(html.parser.HTMLParser):
    """The elements of a page, and the text of its title and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.title = self.text = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.text = ""

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        if tag == "script":
            self.scripts.append((self.elements[-1][1], self.text))
        if tag == "title":
            self.title = self.text


def _parsed(page: bytes) -> _Parser:
    parser = _Parser()
    parser.feed(page.decode())
    return parser


def _page(*sheets: Sheet, title: str = "masks", max_side: int = 1600) -> bytes:
    return b"".join(encode(sheets, title, max_side=max_side))


def _blocks(page: bytes) -> tuple[dict, list[dict]]:
    """The index, and the record of each picture."""
    scripts = [(attrs, text) for attrs, text in _parsed(page).scripts if "type" in attrs]
    (index,) = [json.loads(text) for attrs, text in scripts if attrs.get("id") == "index"]
    return index, [json.loads(text) for attrs, text in scripts if attrs.get("class") == "sheet"]


def test_a_picture_becomes_a_record_with_its_masks_and_pixels(masks, rgb):
    index, (record,) = _blocks(_page(Sheet("day1/photo", masks, Picture("photo.jpg", "", rgb))))
    assert (record["name"], record["file"]) == ("day1/photo", "photo.jpg")
    assert (record["width"], record["height"], record["original"]) == (90, 60, [90, 60])
    first, second, empty = record["masks"]
    for mask, dense in zip(record["masks"], masks.to_array(), strict=True):
        found = coco.decode({"size": [60, 90], "counts": mask["counts"].encode()})
        np.testing.assert_array_equal(found, dense)
    assert (first["id"], first["name"], first["area"]) == (0, "dog", 3000)
    assert first["window"] == first["box"] == [5, 10, 80, 50]
    assert (first["predicted_iou"], first["stability_score"]) == (0.9, 0.5)
    assert second["predicted_iou"] is None
    assert (empty["area"], empty["window"]) == (0, [0, 0, 0, 0])
    assert index["palette"] == [list(colour_of(number)) for number in range(COLOURS)]
    assert [mask["colour"] for mask in record["masks"]] == colour_numbers(masks.boxes).tolist()
    assert index["sheets"] == [
        {
            "name": "day1/photo",
            "count": 3,
            "predicted_iou": [0.75, 0.9],
            "stability_score": [0.25, 1],
            "area": [0, 3000],
        }
    ]
    kind, data = record["jpeg"].split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (90, 60))


def test_pictures_and_masks_are_shrunk_alike_and_areas_stay_those_of_the_original(masks, rgb):
    page = _page(Sheet("a", masks, Picture("a.png", "", rgb)), max_side=45)
    _, (record,) = _blocks(page)
    shown = resize(masks, replace(masks.size, height=30, width=45))
    assert (record["width"], record["height"], record["original"]) == (45, 30, [90, 60])
    for mask, dense in zip(record["masks"], shown.to_array(), strict=True):
        found = coco.decode({"size": [30, 45], "counts": mask["counts"].encode()})
        np.testing.assert_array_equal(found, dense)
    assert [mask["area"] for mask in record["masks"]] == masks.area.tolist()
    assert [mask["box"] for mask in record["masks"]] == masks.boxes.tolist()
    assert [mask["window"] for mask in record["masks"]] == shown.boxes.tolist()
    with Image.open(io.BytesIO(base64.b64decode(record["jpeg"].split(",")[1]))) as picture:
        assert picture.size == (45, 30)


def test_without_pixels_or_scores_or_masks_there_is_still_a_page(masks):
    unknown = replace(masks, predicted_iou=np.full(3, np.nan))
    index, records = _blocks(
        _page(Sheet("a", unknown, Picture()), Sheet("b", masks[:0], Picture("b.jpg")))
    )
    assert [record["jpeg"] for record in records] == [None, None]
    assert [entry["predicted_iou"] for entry in index["sheets"]] == [None, None]
    assert [entry["area"] for entry in index["sheets"]] == [[0, 3000], None]


def test_the_page_is_one_file_that_can_fetch_nothing(masks, rgb):
    page = _page(Sheet("a", masks, Picture("a.png", "", rgb)))
    parsed = _parsed(page)
    policies = [
        attrs["content"]
        for _, attrs in parsed.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [POLICY]
    links = [attrs.get(key) for _, attrs in parsed.elements for key in ("src", "href")]
    assert set(links) == {None, "data:,"}
    assert b"url(" not in page
    assert b"@import" not in page
    assert re.findall(rb"https?://", page) == []


def test_style_and_script_are_whole_and_end_where_they_should(masks):
    page = _page(Sheet("a", masks, Picture())).decode()
    for name in ("page.css", "page_masks.js", "page.js"):
        text = files("samphire.formats").joinpath(name).read_text()
        assert text in page
        assert "</" not in text
    code = files("samphire.formats").joinpath("page.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", code)


@settings(max_examples=50)
@given(
    words=st.lists(
        st.text(max_size=8)
        | st.sampled_from(
            ["</script><script>alert(1)</script>", "<!--", "<script", "$script", "]]>"]
        )
        | st.just("\ud800"),
        min_size=4,
        max_size=4,
    )
)
def test_any_text_stays_inside_its_record(words):
    name, file, title, mask = words
    masks = replace(Masks.from_arrays(np.ones((1, 2, 3))), name=(mask,))
    usual = _parsed(_page(Sheet("a", masks, Picture())))
    page = _page(Sheet(name, masks, Picture(file)), title=title)
    assert _parsed(page).elements == usual.elements
    index, (record,) = _blocks(page)
    assert (record["name"], record["file"]) == (name, file)
    assert index["sheets"][0]["name"] == name
    assert record["masks"][0]["name"] == mask


def test_the_title_is_the_text_that_was_given(masks):
    parsed = _parsed(_page(Sheet("a", masks, Picture()), title="a & <b>"))
    assert parsed.title == "a & <b> · masks"


def test_the_same_results_give_the_same_bytes(masks, rgb):
    sheets = [Sheet("a", masks, Picture("a.png", "", rgb)), Sheet("b", masks, Picture())]
    assert _page(*sheets) == _page(*sheets)


def test_one_picture_is_in_memory_at_a_time(masks):
    opened = []

    def sheets():
        for name in "abc":
            opened.append(name)
            yield Sheet(name, masks, Picture())

    pieces = encode(sheets(), "masks")
    next(pieces)
    assert opened == []
    next(pieces)
    assert opened == ["a"]


def test_a_page_is_known_by_its_tag_and_nothing_else_is(masks, tmp_path):
    path = tmp_path / "index.html"
    path.write_bytes(_page(Sheet("a", masks, Picture()), title="<b>" * 400))
    assert is_page(path)
    path.write_bytes(b"<!doctype html><title>samphire</title>")
    assert not is_page(path)
    assert not is_page(tmp_path / "nothing.html")
    assert not is_page(tmp_path)
