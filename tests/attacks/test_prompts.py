"""Prompts files, damaged or made up: prompts or a FileFormatError that names the file."""

import json
from pathlib import Path

import pytest
from attacks.damage import attack, damaged
from hypothesis import example, given
from hypothesis import strategies as st

from samphire.errors import FileFormatError
from samphire.formats.prompt_records import PromptsFile
from samphire.formats.prompts_file import load_prompts

pytestmark = pytest.mark.slow

TABLE = b"image,x0,y0,x1,y1,label\na.jpg,75,275,1725,850,truck\nb.jpg,4.5,6,7e2,875,wheel\n"
POINTS = b"image;x;y;object;point_label\na.jpg;5;6;1;1\na.jpg;9,5;6;1;0\nb.jpg;7;8;1;1\n"
OURS = json.dumps(
    {
        "a.jpg": {"boxes": [[1, 2, 30, 40]], "names": ["truck"]},
        "b.jpg": {"points": [[5, 6], [7, 8]], "labels": [1, 0]},
    }
).encode()
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 3, "name": "truck"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 30, 40]}],
    }
).encode()
FILES = {"boxes.csv": TABLE, "points.csv": POINTS, "ours.json": OURS, "coco.json": COCO}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("prompts")


def _read(path: Path, content: bytes) -> PromptsFile | None:
    """The prompts; None if they were refused by a message that names the file."""
    path.write_bytes(content)
    refused = None
    try:
        return load_prompts(path)
    except FileFormatError as error:
        refused = str(error)
    assert path.name in refused
    assert len(refused) < 1000
    return None


@pytest.mark.parametrize("name", FILES)
def test_an_undamaged_file_is_its_prompts(folder, name):
    found = _read(folder / name, FILES[name])
    assert found is not None
    assert found.images["a.jpg"].prompts.objects


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_prompts_or_refused(folder, name):
    @attack(120)
    @given(damaged(FILES[name]))
    def attacked(content):
        _read(folder / name, content)

    attacked()


@attack(120)
@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
@example(b"image,x0,y0,x1,y1\n" + b"a," * 100_000)
@example(b"image,x0,y0,x1,y1\na,1e999,0,1,1\n")
@example(b'image,x0,y0,x1,y1\n"a,1,2,3,4\n' + b"b,1,2,3,4\n" * 1000)
def test_any_bytes_are_prompts_or_refused(folder, content):
    for name in ("any.csv", "any.json", "any"):
        _read(folder / name, content)
