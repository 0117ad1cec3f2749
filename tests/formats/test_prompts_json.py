"""Our own JSON of prompts, and what every JSON file of prompts must pass."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samphire.errors import FileFormatError
from samphire.formats import prompts_file
from samphire.formats.prompts_file import load_prompts
from samphire.prompts import Prompts


@pytest.fixture
def load(tmp_path):
    def from_text(text, name="prompts.json"):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return load_prompts(path)

    return from_text


def test_records_follow_the_grammar_of_prompts(load):
    file = load(
        {
            "a.jpg": {"boxes": [[0, 0, 5, 5], [1, 1, 2, 2]], "names": ["dog", "cat"]},
            "sub\\b.jpg": {"points": [[1, 2], [3, 4]], "labels": [1, 0]},
            "c.jpg": {"points": [[[1, 2]], [[3, 4], [5, 6]]]},
        }
    )
    assert list(file.images) == ["a.jpg", "sub/b.jpg", "c.jpg"]
    assert file.images["a.jpg"].prompts.equal(Prompts.of(boxes=[[0, 0, 5, 5], [1, 1, 2, 2]]))
    assert file.images["a.jpg"].names == ("dog", "cat")
    assert file.images["sub/b.jpg"].prompts.equal(
        Prompts.of(points=[[1, 2], [3, 4]], labels=[1, 0])
    )
    assert file.images["c.jpg"].prompts.equal(Prompts.of(points=[[[1, 2]], [[3, 4], [5, 6]]]))
    assert file.images["c.jpg"].names == ("", "")
    assert file.shared is None


def test_a_list_of_records_mixes_objects_of_every_kind(load):
    records = [
        {"points": [[1, 2]], "names": ["door"]},
        {"boxes": [[0, 0, 5, 5], [1, 1, 2, 2]]},
        {"points": [[3, 3]], "boxes": [[2, 2, 4, 4]], "names": ["window"]},
    ]
    named = load({"a.jpg": records}).images["a.jpg"]
    assert named.names == ("door", "", "", "window")
    assert [item.kind for item in named.prompts.objects] == [
        (1, False, False),
        (0, True, False),
        (0, True, False),
        (1, True, False),
    ]


@pytest.mark.parametrize("document", [{"points": [[1, 2]]}, [{"points": [[1, 2]]}]])
def test_a_record_without_a_picture_is_for_every_picture(load, document):
    file = load(document)
    assert file.images == {}
    assert file.shared.prompts.equal(Prompts.of(points=[[1, 2]]))


def test_a_file_without_a_known_suffix_is_told_by_its_first_letter(load):
    assert load({"points": [[1, 2]]}, name="prompts").shared is not None
    assert list(load("image,x,y\na.jpg,1,2\n", name="prompts.dat").images) == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"line 1, column 2: it is not JSON"),
        ('{"a.jpg": {"points": [[1, NaN]]}}', "NaN is not a finite number"),
        ('{"a.jpg": {"points": [[1, 1e999]]}}', r"'a.jpg', points: inf is not a finite number"),
        ('{"a.jpg": {"boxes": [[1,2,3,4]]}, "a.jpg": {"points": [[1,2]]}}', "'a.jpg' is there twi"),
        ('{"./a.jpg": {"points": [[1,2]]}, "a.jpg": {"points": [[1,2]]}}', "'a.jpg' is there twi"),
        ("[" * 100_000, "too deep inside each other"),
        ('{"a.jpg": {"points": ' + "[" * 900 + "]" * 900 + "}}", "deep|points="),
        ("9" * 10_000, "digits"),
        ("{}", "it holds no pictures: expected"),
        ("7", "it holds no pictures: expected"),
        ('{"a.jpg": 7}', r"'a.jpg' holds 7: expected a record of boxes, labels, names, points"),
        ('{"a.jpg": {}}', "'a.jpg' holds .*: expected a record"),
        ('{"a.jpg": []}', "'a.jpg': it has no object"),
        ('{"a.jpg": {"box": [1, 2, 3, 4]}}', "'a.jpg' holds box: expected a record"),
        (
            '{"a.jpg": [{"points": [[1, 2]]}, {"points": 3}]}',
            r"'a.jpg'\[1\], points: 3 is not a li",
        ),
        ('{"a.jpg": {"points": [["1", 2]]}}', "'a.jpg', points: '1' is not a finite number"),
        ('{"a.jpg": {"points": [[true, 2]]}}', "True is not a finite number"),
        ('{"a.jpg": {"points": [[1, 2]], "labels": [2]}}', "expected 1 for the object"),
        ('{"a.jpg": {"points": [[1, 2]], "labels": [1, 1]}}', "do not nest as the points do"),
        ('{"a.jpg": {"labels": [1]}}', "labels without points"),
        ('{"a.jpg": {"boxes": [[5, 5, 1, 1]]}}', "'a.jpg': box .* is empty: expected x0 < x1"),
        ('{"a.jpg": {"boxes": [[1, 2, 3]]}}', "'a.jpg': box"),
        ('{"a.jpg": {"names": ["dog"]}}', "without points and box|no object"),
        (
            '{"a.jpg": {"points": [[1, 2]], "names": ["a", "b"]}}',
            "a list with one for each of 1 ob",
        ),
        ('{"a.jpg": {"points": [[1, 2]], "names": "a"}}', "a list with one for each of 1"),
        ('{"a.jpg": {"points": [[1, 2]], "names": [7]}}', "the name 7 is not a text"),
        ('{"": {"points": [[1, 2]]}}', "'' is not the name of a picture"),
    ],
)
def test_json_that_is_not_right_is_refused_by_its_record(load, text, message):
    with pytest.raises(FileFormatError, match=f"json cannot be used as prompts: .*({message})"):
        load(text)


def test_a_file_that_is_too_large_is_refused_unread(load, monkeypatch):
    monkeypatch.setattr(prompts_file, "MAX_BYTES", 100)
    with pytest.raises(FileFormatError, match="more than 100 bytes: split it"):
        load({"a.jpg": {"points": [[1, 2]] * 50}})


KEYS = ["points", "labels", "boxes", "names", "images", "annotations", "categories", "id"]
KEYS += ["image_id", "category_id", "bbox", "file_name", "segmentation", "counts", "size", "name"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inside, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(document=JSON)
def test_any_json_gives_prompts_or_one_clear_error(load, document):
    try:
        load(json.dumps(document))
    except FileFormatError as error:
        assert "cannot be used as prompts" in str(error)  # noqa: PT017 - or it is read


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(text=st.text(st.sampled_from('image,xy01;\n\t"{}[]: \r.-9e\0'), max_size=60))
def test_any_text_gives_prompts_or_one_clear_error(load, text):
    for name, start in (("a.csv", "image,x,y\n"), ("a.json", ""), ("a", "")):
        try:
            load(start + text, name=name)
        except FileFormatError as error:
            assert "cannot be used as prompts" in str(error)  # noqa: PT017 - or it is read
