"""npz, SA-1B, amg.py's files, cut-outs and measurements."""

import csv
import dataclasses
import io
import json
import zipfile

import cv2
import numpy as np
import pytest
from formats.test_masks_json import SA_1B_KEYS, any_masks
from hypothesis import given
from pycocotools import mask as coco

from samphire import load_masks, save_masks
from samphire.errors import FileFormatError
from samphire.formats import (
    FORMATS,
    Picture,
    amg_folder,
    cutouts,
    encode_masks,
    measurements,
    npz,
    sa1b,
)
from samphire.masks import Masks


@pytest.fixture
def masks():
    dense = np.zeros((3, 12, 16), np.bool_)
    dense[0, 2:8, 3:9] = dense[1, 0:5, 10:16] = True
    dense[0, 4, 4] = False
    return dataclasses.replace(
        Masks.from_arrays(dense),
        predicted_iou=np.array([0.5, 0.75, np.nan]),
        stability=np.array([1, 0.5, np.nan]),
        point=np.array([[4, 3], [12.5, 1], [np.nan, np.nan]]),
        name=("=cmd", "dog", ""),
    )


@pytest.mark.slow
@given(masks=any_masks())
def test_npz_keeps_every_column(masks, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "it.masks.npz"
    path.write_bytes(npz.encode(masks, Picture("photo.jpg"))[0])
    assert load_masks(path).equal(masks)


def test_npz_is_read_by_numpy_without_pickles_and_refuses_bombs(masks, tmp_path, monkeypatch):
    path = tmp_path / "it.masks.npz"
    save_masks(masks, path)
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["boxes"], masks.boxes)
    most = sum(member.file_size for member in zipfile.ZipFile(path).infolist())
    monkeypatch.setattr(npz, "MAX_BYTES", most)
    assert load_masks(path).equal(masks)
    monkeypatch.setattr(npz, "MAX_BYTES", most - 1)
    with pytest.raises(FileFormatError, match="bytes unpacked: expected at most"):
        load_masks(path)
    monkeypatch.undo()
    damaged = bytearray(path.read_bytes())
    damaged[60:80] = bytes(20)
    path.write_bytes(damaged)
    with pytest.raises(FileFormatError, match=r"it\.masks\.npz"):
        load_masks(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("label", np.array([2**32 + 3, 0, 0]), "int64 as label: expected an array of int32"),
        ("boxes", np.full((3, 4), np.nan), "float64 as boxes"),
        ("edited", np.zeros(3, np.uint8), "uint8 as edited"),
        ("runs", np.zeros(9, np.int64), "int64 as runs"),
        ("run_counts", np.array([1, 1, 1]), "run_counts that do not add up"),
        ("run_counts", np.array([-1, 0, 0]), "run_counts that do not add up"),
        ("point", None, "nothing as point: expected an array of float64"),
    ],
)
def test_npz_takes_no_array_for_another(name, value, message, masks, tmp_path):
    path = tmp_path / "it.masks.npz"
    save_masks(masks, path)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    del arrays[name]
    np.savez(path, **arrays, **({} if value is None else {name: value}))
    with pytest.raises(FileFormatError, match=rf"it\.masks\.npz holds {message}"):
        load_masks(path)


def test_sa1b_has_its_keys_alone_and_counts_what_it_leaves_out(masks, tmp_path):
    document = json.loads(sa1b.encode(masks, Picture("photo.jpg"))[0])
    assert document["image"] == {
        "image_id": 1,
        "width": 16,
        "height": 12,
        "file_name": "photo.jpg",
    }
    assert document["annotations"][0].keys() == SA_1B_KEYS | {"id"}
    assert document["annotations"][2].keys() == SA_1B_KEYS - {
        "predicted_iou",
        "stability_score",
        "point_coords",
    } | {"id"}
    np.testing.assert_array_equal(
        coco.decode(document["annotations"][0]["segmentation"]), masks.to_array()[0]
    )
    parts = dataclasses.replace(masks, parent=np.array([-1, 0, -1]))
    assert sa1b.losses(parts) == (
        "2 masks with a name or class, which SA-1B has no place for",
        "1 mask with a parent, which SA-1B has no place for",
    )
    path = tmp_path / "it.sa1b.json"
    save_masks(masks, path)
    nameless = dataclasses.replace(masks, name=("", "", ""))
    assert load_masks(path).equal(nameless)
    assert sa1b.losses(nameless) == ()


@given(masks=any_masks())
def test_sa1b_keeps_what_it_has_a_place_for(masks, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.sa1b.json"
    path.write_bytes(sa1b.encode(masks, Picture("photo.jpg"))[0])
    kept = ("predicted_iou", "stability", "point", "crop_box")
    expected = dataclasses.replace(
        Masks.from_arrays(masks.to_array()), **{key: getattr(masks, key) for key in kept}
    )
    assert sa1b.read(path).equal(expected)
    lost = (masks.label != 0).any() or (masks.parent >= 0).any() or any(masks.name)
    assert bool(sa1b.losses(masks)) == bool(lost)


def test_sa1b_of_others_may_lack_scores_and_points(masks, tmp_path):
    path = tmp_path / "theirs.json"
    document = json.loads(sa1b.encode(masks, Picture("photo.jpg"))[0])
    for record in document["annotations"]:
        for key in record.keys() - {"segmentation"}:
            del record[key]
    path.write_text(json.dumps(document))
    assert load_masks(path).equal(Masks.from_arrays(masks.to_array()))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("segmentation", None),
        ("segmentation", [[0, 0, 1, 1, 0, 1]]),
        ("segmentation", {"size": [16, 12], "counts": [192]}),
        ("segmentation", {"size": [12, 16], "counts": [191]}),
        ("predicted_iou", "high"),
        ("point_coords", [[1]]),
        ("crop_box", [0, 0]),
    ],
)
def test_a_damaged_sa1b_file_is_refused_by_name(key, value, masks, tmp_path):
    path = tmp_path / "damaged.sa1b.json"
    document = json.loads(sa1b.encode(masks, Picture("photo.jpg"))[0])
    document["annotations"][1][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=r"damaged\.sa1b\.json"):
        load_masks(path)


def test_the_published_folder_has_its_files_columns_and_numbers(masks, tmp_path):
    save_masks(masks[:2], tmp_path / "photo", "segment-anything")
    assert sorted(path.name for path in (tmp_path / "photo").iterdir()) == [
        "0.png",
        "1.png",
        "metadata.csv",
    ]
    assert (tmp_path / "photo" / "metadata.csv").read_text() == (
        "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
        "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h\n"
        "0,35,3,2,5,5,4.0,3.0,0.5,1.0,0,0,16,12\n"
        "1,30,10,0,5,4,12.5,1.0,0.75,0.5,0,0,16,12"
    )
    picture = cv2.imread(str(tmp_path / "photo" / "0.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(picture, masks.to_array()[0] * 255)
    nameless = dataclasses.replace(masks, name=("", "", ""))
    assert load_masks(tmp_path / "photo").equal(nameless[:2])


def test_scores_have_the_digits_that_the_published_script_prints(masks, tmp_path):
    scored = dataclasses.replace(masks[:2], predicted_iou=[0.9, np.nan])
    save_masks(scored, tmp_path / "photo", "segment-anything")
    first, second = (tmp_path / "photo" / "metadata.csv").read_text().split("\n")[1:]
    assert first == "0,35,3,2,5,5,4.0,3.0,0.8999999761581421,1.0,0,0,16,12"
    assert second == "1,30,10,0,5,4,12.5,1.0,nan,0.5,0,0,16,12"
    records = json.loads(amg_folder.encode_rle(scored, Picture())[0])
    assert [record["predicted_iou"] for record in records] == [0.8999999761581421, None]


@given(masks=any_masks())
def test_the_published_files_keep_what_they_have_a_place_for(masks, tmp_path_factory):
    kept = ("predicted_iou", "stability", "point", "crop_box")
    expected = dataclasses.replace(
        Masks.from_arrays(masks.to_array()), **{key: getattr(masks, key) for key in kept}
    )
    folder = tmp_path_factory.getbasetemp()
    for name in ("segment-anything", "segment-anything-rle"):
        kind, path = FORMATS[name], folder / f"any_amg{FORMATS[name].suffix}"
        for file, data in encode_masks(masks, path, kind, Picture()):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        assert load_masks(path).equal(expected)


def test_what_lies_beside_a_missing_folder_is_not_it(masks, tmp_path):
    save_masks(masks, tmp_path / "photo", "segment-anything")
    assert len(load_masks(tmp_path / "photo" / "metadata.csv", "segment-anything")) == 3
    with pytest.raises(FileNotFoundError):
        load_masks(tmp_path / "photo" / "phoot", "segment-anything")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n" + "1" * 200_000,
        lambda text: text.replace("id,", "ie,"),
        lambda text: text.replace("\n1,", "\n../1,"),
        lambda text: text.replace(",0.75,", ",1e39,"),
        lambda text: text.replace(",0.75,", ",,"),
        lambda text: text.replace(",0.75,", ","),
        lambda text: text.replace(",16,12", ",16,1e99"),
    ],
)
def test_a_damaged_table_is_refused_by_name(change, masks, tmp_path):
    save_masks(masks, tmp_path / "photo", "segment-anything")
    table = tmp_path / "photo" / "metadata.csv"
    table.write_text(change(table.read_text()))
    with pytest.raises(FileFormatError, match=r"metadata\.csv"):
        load_masks(tmp_path / "photo")


def test_the_published_list_has_its_records(masks, tmp_path):
    path = tmp_path / "photo.json"
    save_masks(masks, path, "segment-anything-rle")
    found = json.loads(path.read_text())
    assert list(found[0]) == [
        *("segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score"),
        "crop_box",
    ]
    assert found[0]["bbox"] == [3, 2, 5, 5]
    assert load_masks(path).equal(dataclasses.replace(masks, name=("", "", "")))
    assert amg_folder.paths(tmp_path, 0)[-1].name == "metadata.csv"


def test_cutouts_show_the_photo_on_the_mask_and_nothing_around(masks, rng):
    rgb = rng.integers(0, 256, (12, 16, 3), np.uint8)
    pictures = [
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        for data in cutouts.encode(masks, Picture(rgb=rgb))
    ]
    assert [picture.shape for picture in pictures] == [(6, 6, 4), (5, 6, 4), (1, 1, 4)]
    first, inside = pictures[0], masks.window(0)
    np.testing.assert_array_equal(first[..., 3], inside * 255)
    np.testing.assert_array_equal(first[inside][:, 2::-1], rgb[2:8, 3:9][inside])
    assert not first[~inside].any()
    assert not pictures[2].any()
    with pytest.raises(FileFormatError, match="cut-outs need the photo"):
        list(cutouts.encode(masks, Picture()))
    with pytest.raises(FileFormatError, match="a photo of 12x16 for masks on 16x12"):
        list(cutouts.encode(masks, Picture(rgb=rgb.transpose(1, 0, 2))))


def test_a_name_that_is_no_text_is_still_a_row(masks):
    odd = dataclasses.replace(masks, name=("\ud800", "=1", ""))
    rows = list(csv.DictReader(io.StringIO(measurements.encode(odd, Picture())[0].decode())))
    assert [row["name"] for row in rows] == ["?", "'=1", ""]


def test_measurements_are_those_of_the_dense_mask(masks):
    rows = list(csv.DictReader(io.StringIO(measurements.encode(masks, Picture())[0].decode())))
    dense = masks.to_array()
    for row, mask in zip(rows[:2], dense, strict=False):
        y, x = np.nonzero(mask)
        assert float(row["centroid_x"]) == pytest.approx(x.mean(), abs=1e-3)
        assert float(row["centroid_y"]) == pytest.approx(y.mean(), abs=1e-3)
        padded = np.pad(mask, 1).astype(int)
        edges = np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()
        assert int(row["perimeter"]) == edges
        assert int(row["area"]) == mask.sum()
        assert float(row["share"]) == pytest.approx(mask.mean())
        diameter = float(row["equivalent_diameter"])
        assert np.pi / 4 * diameter**2 == pytest.approx(mask.sum(), rel=1e-3)
    assert [row["touches_border"] for row in rows] == ["0", "1", "0"]
    assert [row["name"] for row in rows] == ["'=cmd", "dog", ""]
    assert (rows[0]["x0"], rows[0]["width"], rows[0]["predicted_iou"]) == ("3", "6", "0.5")
    assert (rows[2]["centroid_x"], rows[2]["predicted_iou"], rows[2]["perimeter"]) == ("", "", "0")
