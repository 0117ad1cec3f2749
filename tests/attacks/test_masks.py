"""Masks JSON, run-length strings and PNG masks, damaged or made up: masks or a FileFormatError."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from attacks.damage import attack, damaged
from hypothesis import given
from hypothesis import strategies as st

from samphire import load_masks
from samphire.errors import FileFormatError
from samphire.formats import FORMATS, Picture, masks_json, png
from samphire.masks import Masks, rle

pytestmark = pytest.mark.slow

MASKS = Masks.from_arrays(np.random.default_rng(0).random((2, 9, 13)) > 0.5)
JSON = masks_json.encode(MASKS, Picture())[0]
PNG = next(iter(png.encode(MASKS[0], Picture())))
COCO = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30)
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**70)
    | st.floats()
    | COCO
    | st.sampled_from([2**31 - 1, 2**32 - 1, 10**4000, "samphire-masks", "NaN", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("masks")


def _read(path: Path, content: bytes, name: str | None = None) -> Masks | None:
    """The masks; None if they were refused by a message that names the file."""
    path.write_bytes(content)
    refused = None
    try:
        found = load_masks(path, name, image="13x9" if name == "yolo" else None)
    except FileFormatError as error:
        refused = str(error)
    if refused is not None:
        assert path.name in refused
        return None
    for index in range(len(found)):
        x0, y0, x1, y1 = found.boxes[index].tolist()
        assert 0 <= x0 <= x1 <= found.size.width
        assert 0 <= y0 <= y1 <= found.size.height
        assert rle.area(found.runs[index]) == found.area[index] <= (x1 - x0) * (y1 - y0)
    return found


def _places(node: object, path: tuple = ()) -> list[tuple]:
    """The way to every value in a JSON document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += _places(value, (*path, key))
    return found


def test_undamaged_files_are_their_masks(folder):
    assert _read(folder / "masks.json", JSON).equal(MASKS)
    assert _read(folder / "mask.png", PNG).equal(MASKS[0])


@given(content=damaged(JSON))
@attack(100)
def test_damaged_json_is_masks_or_refused_by_name(content, folder):
    _read(folder / "masks.json", content)


OTHERS = [
    name
    for name, kind in FORMATS.items()
    if kind.read is not None and name not in {"json", "png", "segment-anything"}
]
SOUND = {
    name: next(iter(FORMATS[name].encode(MASKS, Picture("photo.jpg", "photo.jpg"))))
    for name in OTHERS
}
DOCUMENTS = {"json": JSON} | {
    name: SOUND[name] for name in OTHERS if FORMATS[name].suffix.endswith("json")
}


@pytest.mark.parametrize("name", OTHERS)
@given(data=st.data())
@attack(60)
def test_damaged_files_of_every_format_are_masks_or_refused_by_name(name, data, folder):
    path = folder / f"damaged{FORMATS[name].suffix}"
    _read(path, data.draw(damaged(SOUND[name])), name)


AMG_FILES = dict(
    zip(
        FORMATS["segment-anything"].paths(Path("amg"), len(MASKS)),
        FORMATS["segment-anything"].encode(MASKS, Picture()),
        strict=True,
    )
)


@pytest.mark.parametrize("file", ["0.png", "metadata.csv"])
@given(data=st.data())
@attack(60)
def test_a_damaged_folder_of_masks_is_masks_or_refused_by_name(file, data, folder):
    for path, content in AMG_FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    damage = data.draw(damaged(AMG_FILES[Path("amg") / file]))
    (folder / "amg" / file).write_bytes(damage)
    try:
        found = load_masks(folder / "amg")
    except FileFormatError as error:
        assert file in str(error)  # noqa: PT017 - or it is read
    except FileNotFoundError:  # the table names a picture that is not there
        assert file == "metadata.csv"
    else:
        assert found.to_array().shape == (len(found), found.size.height, found.size.width)


@pytest.mark.parametrize("name", DOCUMENTS)
@given(data=st.data(), value=ODD)
@attack(100)
def test_any_value_in_any_place_of_a_document_is_masks_or_refused(name, data, value, folder):
    document = copy.deepcopy(json.loads(DOCUMENTS[name]))
    place = data.draw(st.sampled_from(_places(document)))
    node = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    try:
        text = json.dumps(document)
    except ValueError:  # 10**4000 has more digits than Python writes
        return
    _read(folder / "masks.json", text.encode(), name)


@given(
    size=st.lists(
        st.sampled_from([1, 2, 2**16, 2**20, 2**31 - 1, 2**32, 2**62]), min_size=2, max_size=2
    ),
    data=st.data(),
)
@attack(30)
def test_a_size_that_no_picture_has_takes_no_memory(size, data, folder):
    height, width = size
    total = height * width
    counts = data.draw(st.sampled_from([[0, total], [total], [1, total - 1], [total // 2] * 2]))
    mask = {"segmentation": {"size": size, "counts": counts}}
    document = {"image": {"width": width, "height": height}, "annotations": [mask]}
    _read(folder / "masks.json", json.dumps(document).encode())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"7", b"[" * 100_000, b"{}", b"\xff\xfe{", b"null"]
)
def test_other_json_is_refused(content, folder):
    assert _read(folder / "masks.json", content) is None


@given(content=damaged(PNG))
@attack(80)
def test_a_damaged_png_is_a_mask_or_refused_by_name(folder, content):
    _read(folder / "mask.png", content)


@given(COCO | st.text(max_size=20))
@attack(150)
def test_any_text_is_run_lengths_or_refused(text):
    try:
        runs = rle.from_coco(text)
    except FileFormatError:
        return
    assert np.array_equal(rle.from_coco(rle.to_coco(runs)), runs)


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 12), st.integers(1, 12))
@attack(80)
def test_any_counts_are_a_mask_of_the_size_or_refused(counts, height, width):
    runs = np.array(counts, np.uint32)
    try:
        mask = rle.decode(runs, height, width)
    except FileFormatError:
        assert sum(counts) != height * width
        return
    box, window = rle.narrow(runs, height)
    assert np.array_equal(rle.decode(rle.widen(window, box, height, width), height, width), mask)
