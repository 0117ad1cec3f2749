import copy
import dataclasses
import json
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from samphire.errors import FileFormatError
from samphire.formats import Picture, masks_json
from samphire.masks import Masks

SA_1B_KEYS = {
    "segmentation",
    "bbox",
    "area",
    "predicted_iou",
    "stability_score",
    "point_coords",
    "crop_box",
}
float32 = st.floats(-2, 2, width=32) | st.just(float("nan"))


@st.composite
def any_masks(draw) -> Masks:
    """Masks with arbitrary columns."""
    dense = draw(arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=6)))
    count, height, width = dense.shape

    def column(values, *shape):
        return draw(arrays(np.float64, (count, *shape), elements=values))

    whole = st.integers(-1, 2**31 - 1)
    corner = column(st.integers(0, 1), 2)
    point = column(st.floats(-1e6, 1e6), 2)
    point[draw(arrays(np.bool_, count))] = np.nan
    return dataclasses.replace(
        Masks.from_arrays(dense),
        predicted_iou=column(float32),
        stability=column(float32),
        prompt_index=column(whole),
        candidate=column(st.integers(-1, 3)),
        point=point,
        crop_box=np.concatenate([corner, np.full((count, 2), [width, height])], axis=1),
        parent=column(st.integers(-1, count - 1)),
        label=column(whole),
        edited=draw(arrays(np.bool_, count)),
        name=tuple(draw(st.lists(st.text(max_size=5), min_size=count, max_size=count))),
    )


@pytest.mark.slow
@settings(max_examples=80)
@given(masks=any_masks())
def test_every_column_comes_back_exactly(masks, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "masks.json"
    path.write_bytes(masks_json.encode(masks, Picture())[0])
    assert masks_json.read(path).equal(masks)


@pytest.fixture
def masks(rng):
    return dataclasses.replace(
        Masks.from_arrays(rng.random((3, 6, 9)) > 0.6),
        predicted_iou=np.array([0.98, np.nan, 1.01]),
        stability=np.array([0.97, 0.5, np.nan]),
        point=np.array([[4.5, 2], [np.nan, np.nan], [0, 5]]),
        crop_box=np.array([[0, 0, 9, 6], [1, 2, 4, 6], [0, 0, 9, 6]]),
    )


@pytest.fixture
def document(masks):
    return json.loads(masks_json.encode(masks, Picture())[0])


def _read(document, tmp_path) -> Masks:
    path = tmp_path / "masks.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return masks_json.read(path)


def test_the_file_says_what_it_is_and_who_made_it(document):
    assert document["format"] == "samphire-masks"
    assert document["version"] == 1
    assert document["samphire"] == version("samphire")
    assert document["image"] == {"width": 9, "height": 6}


def test_each_record_is_a_superset_of_the_sa_1b_record(document):
    for record in document["annotations"]:
        assert set(record) >= SA_1B_KEYS
        assert record["segmentation"]["size"] == [6, 9]


# pycocotools has not followed NumPy 2
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_the_masks_areas_and_boxes(document, masks):
    for record, dense in zip(document["annotations"], masks.to_array(), strict=True):
        assert np.array_equal(coco.decode(record["segmentation"]), dense)
        assert record["area"] == coco.area(record["segmentation"])
        assert record["bbox"] == coco.toBbox(record["segmentation"]).tolist()


def test_the_records_hold_the_columns_under_the_names_of_sa_1b(document):
    first, second, third = document["annotations"]
    assert (first["predicted_iou"], first["stability_score"]) == (0.98, 0.97)
    assert first["point_coords"] == [[4.5, 2.0]]
    assert second["crop_box"] == [1, 2, 3, 4]
    assert second["point_coords"] is second["predicted_iou"] is third["stability_score"] is None


def test_numbers_that_are_not_known_are_null_so_that_any_reader_reads_it(masks):
    text = masks_json.encode(masks, Picture())[0].decode()
    assert "NaN" not in text
    assert json.loads(text, parse_constant=pytest.fail)["annotations"]


def test_a_plain_sa_1b_file_is_read(document, masks, tmp_path):
    plain = {
        "image": {"image_id": 7, "file_name": "sa_7.jpg", "width": 9, "height": 6},
        "annotations": [
            {"id": 1, **{key: record[key] for key in SA_1B_KEYS}}
            for record in document["annotations"]
        ],
    }
    found = _read(plain, tmp_path)
    assert found.equal(masks)
    plain["annotations"][0]["crop_box"] = [0.0, 0.0, 9.0, 6.0]  # the published code writes such
    assert _read(plain, tmp_path).equal(masks)


def test_uncompressed_counts_are_read(document, masks, tmp_path):
    for index, record in enumerate(document["annotations"]):
        record["segmentation"]["counts"] = masks.image_runs(index).tolist()
    assert _read(document, tmp_path).equal(masks)


def test_scores_and_names_that_are_missing_or_null_say_none(document, tmp_path):
    for record in document["annotations"]:
        for key in set(record) - {"segmentation"}:
            del record[key]
        record["name"] = None
    found = _read(document, tmp_path)
    assert found.equal(Masks.from_arrays(found.to_array()))


def test_a_newer_version_is_refused_and_says_upgrade(document, tmp_path):
    document["version"] = 2
    with pytest.raises(
        FileFormatError, match=r"masks\.json holds version 2 .* reads up to 1; upgrade"
    ):
        _read(document, tmp_path)


def _change(*path_and_value):
    *path, last, value = path_and_value

    def change(document):
        for key in path:
            document = document[key]
        document[last] = value

    return change


RECORD = ("annotations", 0)
MASK = (*RECORD, "segmentation")


@pytest.mark.parametrize(
    "change",
    [
        _change("format", "samphire-journal"),
        _change("version", "1"),
        _change("image", None),
        _change("image", "width", "9"),
        _change("image", "width", 9.0),
        _change("image", "width", True),
        _change("image", "width", float("nan")),
        _change("image", "height", 0),
        _change("image", "height", 7),
        _change("annotations", None),
        _change("annotations", "ab"),
        _change(*RECORD, None),
        _change(*MASK, [[1, 2, 3, 4, 5, 6]]),  # a polygon
        _change(*MASK, "size", [9, 6]),
        _change(*MASK, "size", "69"),
        _change(*MASK, "counts", "~"),
        _change(*MASK, "counts", ""),
        _change(*MASK, "counts", "13"),
        _change(*MASK, "counts", "\ud800"),
        _change(*MASK, "counts", None),
        _change(*MASK, "counts", [54, -1, 1]),
        _change(*MASK, "counts", [2**40]),
        _change(*MASK, "counts", [53.5, 0.5]),
        _change(*MASK, "counts", ["54"]),
        _change(*MASK, "counts", [[54]]),
        _change(*RECORD, "predicted_iou", "high"),
        _change(*RECORD, "predicted_iou", 10**400),
        _change(*RECORD, "prompt_index", None),
        _change(*RECORD, "prompt_index", 2**40),
        _change(*RECORD, "prompt_index", 2**70),
        _change(*RECORD, "prompt_index", 1e30),
        _change(*RECORD, "label", float("inf")),
        _change(*RECORD, "crop_box", [0, 0, 9]),
        _change(*RECORD, "crop_box", [0, 0, 2**40, 6]),
        _change(*RECORD, "point_coords", [[1]]),
        _change(*RECORD, "point_coords", 5),
        lambda document: document.pop("image"),
        lambda document: document.pop("annotations"),
        lambda document: document["annotations"][0].pop("segmentation"),
    ],
)
def test_a_damaged_file_is_one_file_format_error(change, document, tmp_path):
    damaged = copy.deepcopy(document)
    change(damaged)
    with pytest.raises(FileFormatError):
        _read(damaged, tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "null", "1", '"masks"', "[" * 100_000, "{}", "1" * 10_000],
    ids=lambda t: t[:8],
)
def test_json_that_is_no_file_of_masks_is_a_file_format_error(text, tmp_path):
    with pytest.raises(FileFormatError, match=r"masks\.json is not a file of masks"):
        _read(text, tmp_path)


@pytest.mark.slow
@settings(max_examples=150)
@given(data=st.data())
def test_a_file_with_changed_bytes_is_masks_or_a_file_format_error(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    damaged = bytearray(masks_json.encode(Masks.from_arrays(np.eye(4)[None]), Picture())[0])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(
            st.sampled_from(b'0123456789-."{}[],:eEnN \x00\xff') | st.integers(0, 255)
        )
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))])
    try:
        found = masks_json.read(path)
    except FileFormatError:
        return
    assert found.to_array().shape == (len(found), found.size.height, found.size.width)


@pytest.mark.parametrize("value", ["1e39", "-1e39", "Infinity"])
@pytest.mark.parametrize("key", ["predicted_iou", "stability_score"])
def test_a_number_that_32_bits_do_not_hold_is_refused(key, value, document, tmp_path):
    document["annotations"][0][key] = float(value)
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=r"masks\.json is not a file of masks .*32 bits"):
        masks_json.read(path)
