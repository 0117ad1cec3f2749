"""Volumes as slices: upright, complete, lazy, aligned, and one error for what is wrong."""

import csv
import json
import pickle
import sys
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.errors import FileFormatError, ImageError, MissingExtraError, ShapeError
from samphire.images.window import Window, parse_window
from samphire.samples import nifti, open_data
from samphire.samples.volumes import nifti_samples, stack

nib = pytest.importorskip("nibabel")

SHAPE = (7, 5, 3)
SPACING = (0.5, 1.0, 4.0)
FULL = Window(0, 255)


def write(path, values, affine=None):
    """A NIfTI file; by default RAS, with the spacing above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*SPACING, 1]) if affine is None else affine
    nib.Nifti1Image(values, affine).to_filename(path)
    return path


def pair(root, name="a", image=None, label=None, affine=None, label_affine=None):
    image = np.arange(105, dtype=np.int16).reshape(SHAPE) if image is None else image
    label = np.zeros(image.shape[:3], np.uint8) if label is None else label
    write(root / "images" / f"{name}.nii.gz", image, affine)
    other = affine if label_affine is None else label_affine
    write(root / "labels" / f"{name}.nii.gz", label, other)


def planes(dataset):
    """All images' first channel, (D, H, W)."""
    return np.stack([sample.read().image[..., 0] for sample in dataset.samples])


def test_slices_are_upright_and_complete(tmp_path):
    image = np.arange(105, dtype=np.int16).reshape(SHAPE)
    pair(tmp_path, image=image)
    dataset = nifti_samples(tmp_path, window=FULL)
    assert [sample.volume.index for sample in dataset.samples] == [0, 1, 2]
    assert dataset.samples[2].id == "images/a.nii.gz#0002"
    for index, shown in enumerate(planes(dataset)):
        # rows from front to back, columns from the patient's right to the left
        assert shown.shape == (5, 7)
        assert shown[0, 0] == image[6, 4, index]
        assert shown[0, 6] == image[0, 4, index]
        assert shown[4, 0] == image[6, 0, index]


@pytest.mark.parametrize(
    ("plane", "shape", "spacing", "top_left"),
    [
        ("axial", (3, 5, 7), (4.0, 1.0, 0.5), (6, 4, 0)),
        ("coronal", (5, 3, 7), (1.0, 4.0, 0.5), (6, 0, 2)),
        ("sagittal", (7, 3, 5), (0.5, 4.0, 1.0), (0, 4, 2)),
    ],
)
def test_any_plane_can_be_sliced(tmp_path, plane, shape, spacing, top_left):
    image = np.arange(105, dtype=np.int16).reshape(SHAPE)
    pair(tmp_path, image=image)
    dataset = nifti_samples(tmp_path, window=FULL, plane=plane)
    assert planes(dataset).shape == shape
    assert {sample.volume.spacing for sample in dataset.samples} == {spacing}
    assert planes(dataset)[0, 0, 0] == image[top_left]


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [((4, 1, 1), "sagittal"), ((1, 4, 1), "coronal"), ((1, 1, 1), "axial"), ((2, 2, 1), "coronal"),
     ((1.0001, 1, 1), "axial")],
)  # fmt: skip
def test_the_default_plane_has_the_slices_farthest_apart(tmp_path, spacing, plane):
    pair(tmp_path, affine=np.diag([*spacing, 1]))
    pair(tmp_path, "b", affine=np.diag([1, 1, 9, 1]))
    samples = nifti_samples(tmp_path).samples
    counted = sum(sample.volume.name == "a" for sample in samples)
    assert counted == SHAPE[nifti.PLANES.index(plane)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_the_file_changes_nothing(tmp_path, order, rng):
    image = rng.integers(0, 255, SHAPE).astype(np.int16)
    label = rng.integers(0, 3, SHAPE).astype(np.uint8)
    pair(tmp_path / "plain", image=image, label=label)
    expected = nifti_samples(tmp_path / "plain", window=FULL)
    base = nib.Nifti1Image(image, np.diag([*SPACING, 1]))
    for signs in product((1, -1), repeat=3):
        turn = np.array([*zip(order, signs, strict=True)])
        turned = [
            nib.Nifti1Image(values, base.affine).as_reoriented(turn) for values in (image, label)
        ]
        root = tmp_path / "_".join(map(str, signs))
        values = [np.asanyarray(one.dataobj) for one in turned]
        pair(root, image=values[0], label=values[1], affine=turned[0].affine)
        found = nifti_samples(root, window=FULL)
        for one, other in zip(found.samples, expected.samples, strict=True):
            assert one.volume == other.volume
            assert np.array_equal(one.read().image, other.read().image)
            assert one.read().objects.equal(other.read().objects)


@pytest.mark.slow
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_labels_are_written_voxel_on_voxel_whatever_the_order_of_the_file(tmp_path, order, rng):
    base = nib.Nifti1Image(rng.integers(1, 255, SHAPE).astype(np.uint8), np.diag([*SPACING, 1]))
    for signs in product((1, -1), repeat=3):
        turned = base.as_reoriented(np.array([*zip(order, signs, strict=True)]))
        turned.header.set_xyzt_units("mm")
        turned.to_filename(tmp_path / "scan.nii.gz")
        labels = nifti.read_voxels(tmp_path / "scan.nii.gz").astype(np.uint8)
        (tmp_path / "labels.nii.gz").write_bytes(
            nifti.encode_labels(labels, tmp_path / "scan.nii.gz")
        )
        found = nib.load(tmp_path / "labels.nii.gz")
        assert np.array_equal(found.affine, turned.affine)
        assert np.array_equal(np.asanyarray(found.dataobj), np.asanyarray(turned.dataobj))
        assert found.header.get_xyzt_units()[0] == "mm"


def test_labels_of_another_size_are_refused(tmp_path, rng):
    path = write(tmp_path / "a.nii.gz", rng.random(SHAPE), np.eye(4))
    with pytest.raises(ImageError, match=r"the labels have 2 x 2 x 2 voxels, a\.nii\.gz has"):
        nifti.encode_labels(np.zeros((2, 2, 2), np.uint8), path)


def test_oblique_volumes_lie_where_nibabel_puts_them(tmp_path, rng):
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ np.diag([0.7, 2.0, 1.1])
    affine[:3, 3] = (-30, 12, 5)
    path = write(tmp_path / "a.nii.gz", rng.random(SHAPE), affine)
    expected = nib.as_closest_canonical(nib.load(path))
    grid = nifti.read_grid(path)
    assert grid.shape == expected.shape
    np.testing.assert_allclose(grid.affine, expected.affine)
    np.testing.assert_allclose(grid.spacing, expected.header.get_zooms(), rtol=1e-5)
    assert np.array_equal(nifti.read_voxels(path), expected.get_fdata())


def test_labels_are_objects_of_their_value_where_the_image_shows_them(tmp_path):
    label = np.zeros(SHAPE, np.uint8)
    label[1:3, 1, 1], label[4, 2:4, 1] = 1, 3
    pair(tmp_path, image=(label * 50).astype(np.float32), label=label)
    dataset = nifti_samples(tmp_path, window=FULL)
    assert dataset.classes == ("1", "2", "3")
    empty, shown, _ = (sample.read() for sample in dataset.samples)
    assert len(empty.objects) == 0
    assert shown.objects.label.tolist() == [1, 3]
    assert shown.objects.name == ("1", "3")
    assert np.array_equal(shown.objects.to_array()[0], shown.image[..., 0] == 50)
    assert np.array_equal(shown.objects.to_array()[1], shown.image[..., 2] == 150)
    assert shown.ignore is None


def test_full_foreground_is_an_object(tmp_path):
    pair(tmp_path, label=np.ones(SHAPE, np.float64))
    for sample in nifti_samples(tmp_path, classes=("tissue",)).samples:
        objects = sample.read().objects
        assert objects.area.tolist() == [35]
        assert objects.name == ("tissue",)


def test_volumes_of_any_scale_look_alike(tmp_path, rng):
    image = rng.normal(50, 10, SHAPE)
    image[0] = 0
    pair(tmp_path, "a", image=np.rint(image).astype(np.uint8))
    pair(tmp_path, "b", image=(np.rint(image) * 1e4).astype(np.float32))
    shown = planes(nifti_samples(tmp_path))
    assert np.array_equal(shown[:3], shown[3:])
    assert shown.min() == 0
    assert shown.max() == 255


def test_the_window_is_of_the_volume_not_of_the_slice(tmp_path):
    image = np.ones(SHAPE, np.float32)
    image[..., 2] = 100
    image[0, 0, 2] = 0
    pair(tmp_path, image=image)
    shown = planes(nifti_samples(tmp_path))
    assert shown[0].max() == 0
    assert np.unique(shown[2]).tolist() == [0, 255]


def test_hounsfield_units_pass_the_window_and_the_files_scale(tmp_path):
    pair(tmp_path)
    units = np.full(SHAPE, 40, np.int16)
    units[0], units[1] = -1000, 3000
    image = nib.Nifti1Image(units + np.int16(1024), np.diag([*SPACING, 1]))
    image.header.set_slope_inter(1, -1024)
    image.to_filename(tmp_path / "images" / "a.nii.gz")
    values = nifti.read_voxels(tmp_path / "images" / "a.nii.gz")
    assert values.dtype == np.float32
    assert np.array_equal(values, units)
    dataset = nifti_samples(tmp_path, window=parse_window("ct-soft-tissue"))
    assert dataset.samples[0].read().image[0, :, 0].tolist() == [128] * 5 + [255, 0]


def test_a_volume_is_decoded_once_for_all_its_slices(tmp_path, monkeypatch):
    pair(tmp_path)
    pair(tmp_path, "b")
    dataset = nifti_samples(tmp_path, classes=("one",))
    decoded = []
    read = nifti.read_voxels
    monkeypatch.setattr(nifti, "read_voxels", lambda path: decoded.append(path.name) or read(path))
    for sample in dataset.samples:
        sample.read()
    assert decoded == ["a.nii.gz"] * 2 + ["b.nii.gz"] * 2
    for index in (5, 0, 3, 1, 4, 2):  # nor a second time, in whatever order
        dataset.samples[index].read()
    assert len(decoded) == 4


def test_a_data_set_of_volumes_says_its_window(tmp_path):
    pair(tmp_path)
    assert open_data(tmp_path).window == "percentile:0.5-99.5"
    chosen = open_data(tmp_path, window=Window(0, 50))
    assert parse_window(chosen.window) == Window(0, 50)
    shown = planes(nifti_samples(tmp_path, window=Window(0, 50)))
    assert np.array_equal(planes(chosen), shown)


def test_opening_reads_no_voxels_where_the_classes_are_known(tmp_path, monkeypatch):
    pair(tmp_path)
    monkeypatch.setattr(nifti, "read_voxels", None)
    assert len(nifti_samples(tmp_path, classes=("one",)).samples) == 3


def test_a_file_that_changed_is_read_again(tmp_path):
    pair(tmp_path)
    sample = nifti_samples(tmp_path, classes=("one",), window=FULL).samples[0]
    sample.read()
    pair(tmp_path, image=np.full(SHAPE, 200, np.int32))
    assert sample.read().image.min() == 200


def test_samples_travel_to_other_processes(tmp_path):
    pair(tmp_path)
    sample = nifti_samples(tmp_path).samples[1]
    sent = pickle.loads(pickle.dumps(sample))  # noqa: S301 - our own
    assert np.array_equal(sent.read().image, sample.read().image)
    assert (sent.id, sent.volume, sent.files) == (sample.id, sample.volume, sample.files)


def test_lengths_in_metres_become_millimetres(tmp_path):
    pair(tmp_path)
    image = nib.Nifti1Image(np.ones(SHAPE, np.uint8), np.diag([0.0005, 0.001, 0.004, 1]))
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "images" / "a.nii.gz")
    (spacing,) = {sample.volume.spacing for sample in nifti_samples(tmp_path).samples}
    assert spacing == pytest.approx((4, 1, 0.5), rel=1e-5)


def test_a_trailing_axis_of_1_is_no_fourth_axis(tmp_path):
    pair(tmp_path, image=np.ones((*SHAPE, 1), np.uint8))
    assert planes(nifti_samples(tmp_path)).shape == (3, 5, 7)


# what is wrong


def test_volumes_that_cannot_be_used_are_named_in_one_error(tmp_path):
    pair(tmp_path, "good")
    pair(tmp_path, "times", image=np.zeros((*SHAPE, 2), np.uint8))
    pair(tmp_path, "size", label=np.zeros((7, 5, 4), np.uint8))
    pair(tmp_path, "moved", label_affine=np.diag([0.5, 1, 4.4, 1]))
    pair(tmp_path, "text")
    (tmp_path / "images" / "text.nii.gz").write_bytes(b"not a volume")
    with pytest.raises(FileFormatError) as raised:
        nifti_samples(tmp_path)
    said = str(raised.value)
    assert said.startswith("4 of 5 volumes cannot be used")
    for words in (
        "times: times.nii.gz has 7 x 5 x 3 x 2 voxels: expected one volume",
        "size.nii.gz has 7 x 5 x 3 voxels, size.nii.gz has 7 x 5 x 4",
        "moved.nii.gz and moved.nii.gz lie up to 0.8 mm apart",
        "text: text.nii.gz cannot be read as NIfTI",
    ):
        assert words in said


def test_headers_that_round_are_still_aligned(tmp_path):
    pair(tmp_path, label_affine=np.diag([0.5001, 1, 4.001, 1]))
    assert len(nifti_samples(tmp_path).samples) == 3


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_damaged_voxels_are_an_error_of_the_sample(tmp_path, suffix, rng):
    pair(tmp_path, image=np.zeros((9, 9, 9)))
    (tmp_path / "images" / "a.nii.gz").unlink()
    image = write(tmp_path / "images" / f"a{suffix}", rng.random((9, 9, 9)))
    image.write_bytes(image.read_bytes()[:-200])
    sample = nifti_samples(tmp_path, classes=("one",)).samples[0]
    with pytest.raises(ImageError, match=f"a{suffix} cannot be read"):
        sample.read()


def test_any_damage_of_a_file_is_one_of_our_errors(tmp_path, rng):
    path = write(tmp_path / "a.nii", rng.integers(0, 9, SHAPE).astype(np.int16))
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    refused = 0
    for _ in range(120):
        broken = whole.copy()
        where = rng.integers(0, 352, 4)
        broken[where] = rng.integers(0, 256, 4)
        path.write_bytes(broken.tobytes())
        try:
            nifti.read_grid(path)
            nifti.read_voxels(path)
        except ImageError as error:
            assert "a.nii" in str(error)  # noqa: PT017 - not every damage is an error
            refused += 1
    assert refused > 10


def test_a_header_that_promises_too_much_is_refused_before_decoding(tmp_path):
    for shape, said in [((2000, 2000, 2000), "at most"), ((900, 900, 900), "cannot hold")]:
        header = nib.Nifti1Header()
        header.set_data_shape(shape)
        header.set_data_dtype(np.uint8)
        header["magic"], header["vox_offset"], header["sform_code"] = b"n+1", 352, 1
        path = tmp_path / "a.nii"
        path.write_bytes(header.binaryblock + bytes(400))
        for read in (nifti.read_grid, nifti.read_voxels):
            with pytest.raises(ImageError, match=said):
                read(path)


def test_voxels_without_a_place_or_a_number_are_refused(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros(SHAPE, np.complex64))
    with pytest.raises(ImageError, match="complex64 voxels: expected integers or floats"):
        nifti.read_grid(path)
    affine = np.diag([1.0, 1, 0, 1])
    image = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), None)
    image.header.set_sform(affine, code=1)
    image.to_filename(path)
    with pytest.raises(ImageError, match="no place in space"):
        nifti.read_grid(path)


@pytest.mark.parametrize("value", [0.5, -1, 256, np.nan, np.inf])
def test_labels_that_are_no_classes_are_refused(tmp_path, value):
    label = np.zeros(SHAPE, np.float32)
    label[0, 0, 0] = value
    pair(tmp_path, label=label)
    with pytest.raises(
        FileFormatError, match=r"a\.nii\.gz holds .*expected the numbers of classes"
    ):
        nifti_samples(tmp_path)


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    pair(tmp_path, label=np.full(SHAPE, 2, np.uint8))
    sample = nifti_samples(tmp_path, classes=("liver",)).samples[0]
    with pytest.raises(FileFormatError, match=r"has the label 2: expected 0 to 1, .* liver"):
        sample.read()


def test_a_file_that_went_away_is_one_error(tmp_path):
    pair(tmp_path)
    sample = nifti_samples(tmp_path).samples[0]
    (tmp_path / "labels" / "a.nii.gz").unlink()
    with pytest.raises(ImageError, match="gone"):
        sample.read()


def test_without_nibabel_there_is_one_error_that_says_what_to_install(tmp_path, monkeypatch):
    pair(tmp_path)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'samphire\[medical\]'"):
        nifti_samples(tmp_path)


# layouts


def test_images_without_labels_are_left_out_and_noted(tmp_path):
    pair(tmp_path)
    pair(tmp_path, "b")
    (tmp_path / "labels" / "b.nii.gz").unlink()
    write(tmp_path / "labels" / "c.nii", np.zeros(SHAPE, np.uint8))
    (tmp_path / "images" / "._a.nii.gz").write_bytes(b"left by a Mac")
    dataset = nifti_samples(tmp_path)
    assert {sample.volume.name for sample in dataset.samples} == {"a"}
    assert dataset.notes[:2] == (
        "Left out, 1 without labels: b.",
        "Left out, 1 labels without an image: c.",
    )


@pytest.mark.parametrize("folders", [(), ("images",), ("images", "labels"), ("imagesTr",)])
def test_a_folder_without_labelled_volumes_says_what_is_expected(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(FileFormatError, match=r"expected .*\.nii"):
        nifti_samples(tmp_path)


def table(root, rows):
    with (root / "split.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_a_table_says_ids_groups_and_splits(tmp_path):
    pair(tmp_path)
    pair(tmp_path, "b")
    table(
        tmp_path,
        [
            {
                "id": f"case {name}",
                "image": f"images/{name}.nii.gz",
                "label": f"labels/{name}.nii.gz",
                "split": split,
                "group": "p",
            }
            for name, split in (("a", "train"), ("b", ""), ("c", "val"))
        ],
    )
    dataset = nifti_samples(tmp_path)
    assert {(s.volume.name, s.group, s.split) for s in dataset.samples} == {
        ("case a", "p", "train"),
        ("case b", "p", None),
    }
    assert dataset.notes[0] == "Left out, for their files are missing: c.nii.gz, c.nii.gz."


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"image": "images/a.nii.gz"}, "line 2 has no image or no mask"),
        ({"image": "images/a.png", "mask": "labels/a.nii.gz"}, r"expected \.nii"),
        ({"image": "a.nii", "mask": "b.nii", "split": "dev"}, "split 'dev': expected one of train"),
        ({"image": "/a.nii", "mask": "b.nii"}, "paths relative to the table"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, said):
    table(tmp_path, [row])
    with pytest.raises(FileFormatError, match=said):
        nifti_samples(tmp_path)


@pytest.mark.parametrize(("ids", "images"), [(("x", "x"), ("a", "b")), (("x", "y"), ("a", "a"))])
def test_one_name_or_image_for_two_cases_is_refused(tmp_path, ids, images):
    pair(tmp_path)
    pair(tmp_path, "b")
    rows = [
        {"id": name, "image": f"images/{image}.nii.gz", "mask": "labels/a.nii.gz"}
        for name, image in zip(ids, images, strict=True)
    ]
    table(tmp_path, rows)
    with pytest.raises(FileFormatError, match=r"two cases of (x|a\.nii\.gz): expected"):
        nifti_samples(tmp_path)


def test_a_volume_with_and_without_compression_is_refused(tmp_path):
    pair(tmp_path)
    write(tmp_path / "images" / "a.nii", np.zeros(SHAPE, np.uint8))
    with pytest.raises(FileFormatError, match=r"has a\.nii and a\.nii\.gz: expected one"):
        nifti_samples(tmp_path)


def nnunet(root, channels=2, labels=None, half="Tr", name="liver_001"):
    for channel in range(channels):
        image = np.full(SHAPE, 10 * (channel + 1), np.int16)
        write(root / f"images{half}" / f"{name}_{channel:04d}.nii.gz", image)
    label = np.zeros(SHAPE, np.uint8)
    label[0, 0, :], label[1, 0, :] = 1, 2
    write(root / f"labels{half}" / f"{name}.nii.gz", label)
    document = {
        "channel_names": {str(channel): f"MR{channel}" for channel in range(channels)},
        "labels": labels or {"background": 0, "liver": 1, "tumour": 2},
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(document))


def test_nnunets_channels_are_colours_and_its_labels_classes(tmp_path):
    nnunet(tmp_path)
    dataset = nifti_samples(tmp_path, window=FULL)
    assert dataset.layout == "nnU-Net raw data"
    assert dataset.classes == ("liver", "tumour")
    sample = dataset.samples[0]
    assert (sample.id, sample.group) == ("imagesTr/liver_001_0000.nii.gz#0000", "liver_001")
    assert [path.name for path in sample.files] == [
        *("liver_001_0000.nii.gz", "liver_001_0001.nii.gz", "liver_001.nii.gz")
    ]
    labelled = sample.read()
    assert labelled.image[0, 0].tolist() == [10, 20, 0]
    assert labelled.objects.name == ("liver", "tumour")


def test_more_than_three_channels_must_be_chosen(tmp_path):
    nnunet(tmp_path, channels=4)
    with pytest.raises(FileFormatError, match=r"0 MR0, 1 MR1, .* choose with channels="):
        nifti_samples(tmp_path)
    with pytest.raises(FileFormatError, match="expected one to three"):
        nifti_samples(tmp_path, channels=(7,))
    dataset = nifti_samples(tmp_path, channels=(3, 0, 1), window=FULL)
    assert dataset.samples[0].read().image[0, 0].tolist() == [40, 10, 20]
    grey = nifti_samples(tmp_path, channels=(2,), window=FULL)
    assert grey.samples[0].read().image[0, 0].tolist() == [30, 30, 30]


def test_a_case_that_lacks_a_channel_is_left_out_and_noted(tmp_path):
    nnunet(tmp_path, channels=1, name="poor")
    nnunet(tmp_path)
    dataset = nifti_samples(tmp_path)
    assert {sample.volume.name for sample in dataset.samples} == {"liver_001"}
    assert "Left out, 1 that lack a channel: poor." in dataset.notes


def test_nnunets_test_images_are_the_test_split_where_they_have_labels(tmp_path):
    nnunet(tmp_path)
    nnunet(tmp_path, half="Ts", name="liver_002")
    write(tmp_path / "imagesTs" / "liver_003_0000.nii.gz", np.zeros(SHAPE, np.uint8))
    dataset = nifti_samples(tmp_path)
    assert {(sample.volume.name, sample.split) for sample in dataset.samples} == {
        ("liver_001", None),
        ("liver_002", "test"),
    }
    assert "Left out, 1 without labels: liver_003." in dataset.notes


def test_the_label_to_ignore_is_no_object(tmp_path):
    nnunet(tmp_path, labels={"background": 0, "liver": 1, "ignore": 2})
    dataset = nifti_samples(tmp_path)
    assert dataset.classes == ("liver",)
    labelled = dataset.samples[0].read()
    assert labelled.objects.label.tolist() == [1]
    assert np.argwhere(labelled.ignore).tolist() == [[4, 5]]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ({"0": "background", "1": "front", "2": "back"}, ("front", "back")),
        ({"background": 0, "a": 1, "c": 3}, ("a", "2", "c")),
        ({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "centre": 3}, ("1", "2", "centre")),
    ],
)
def test_every_kind_of_dataset_json_names_the_values(tmp_path, labels, classes):
    nnunet(tmp_path, labels=labels)
    dataset = nifti_samples(tmp_path)
    assert dataset.classes == classes
    assert any("Regions" in note for note in dataset.notes) == ("whole" in labels)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"labels": []}', '{"labels": {"a": null}}', '{"labels": {"a": -1}}',
     '{"labels": {"a": Infinity}}', '{"labels": {"a": 999999999}}',
     '{"labels": {"a": 3, "ignore": 2}}'],
)  # fmt: skip
def test_a_damaged_dataset_json_is_one_error(tmp_path, text):
    nnunet(tmp_path)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"dataset\.json"):
        nifti_samples(tmp_path)


def test_classes_must_be_as_many_as_the_data_names(tmp_path):
    nnunet(tmp_path)
    renamed = nifti_samples(tmp_path, classes=("x", "y"))
    assert (renamed.classes, renamed.named) == (("x", "y"), ("liver", "tumour"))
    with pytest.raises(FileFormatError, match=r"1 classes .*\(x\).* 2 \(liver, tumour\)"):
        nifti_samples(tmp_path, classes=("x",))


# stacks


@given(st.permutations(range(4)))
def test_slices_in_any_order_are_the_volume(order):
    volume = np.random.default_rng(0).random((4, 3, 2)) > 0.5
    assert np.array_equal(stack([(index, volume[index]) for index in order], 4), volume)


@pytest.mark.parametrize("indexes", [(), (0,), (0, 0, 1), (0, 1, 2), (0, 1, -1)])
def test_an_incomplete_stack_is_refused(indexes):
    with pytest.raises(ShapeError, match="expected each of the volume's slices once"):
        stack([(index, np.zeros((2, 2), np.bool_)) for index in indexes], 2)


def test_slices_of_different_size_are_no_volume():
    slices = [(0, np.zeros((2, 2), np.bool_)), (1, np.zeros((2, 3), np.bool_))]
    with pytest.raises(ShapeError, match=r"\(2, 2\), \(2, 3\)"):
        stack(slices, 2)


# real volumes


def test_the_hippocampus_set_is_read_whole(data):
    folder = data / "medical" / "hippocampus"
    dataset = nifti_samples(folder)
    rows = list(csv.DictReader((folder / "split.csv").read_text().splitlines()))
    assert dataset.classes == ("1", "2")
    assert {(s.volume.name, s.group, s.split) for s in dataset.samples} == {
        (row["id"], row["group"], row["split"]) for row in rows
    }
    assert len(dataset.samples) == sum(int(row["size_z"]) for row in rows)
    assert {s.volume.spacing for s in dataset.samples} == {(1.0, 1.0, 1.0)}
    for row in rows[::3]:
        read = [s.read() for s in dataset.samples if s.volume.name == row["id"]]
        label = np.asanyarray(nib.load(folder / row["mask"]).dataobj)
        for value in (1, 2):
            masks = [
                (index, one.objects[one.objects.label == value].to_array().any(axis=0))
                for index, one in enumerate(read)
            ]
            stacked = stack(masks, len(read))
            assert np.array_equal(stacked, (label == value).transpose(2, 1, 0)[:, ::-1, ::-1])
        shown = np.stack([one.image for one in read])
        assert 50 < shown.mean() < 200  # whatever the scale of the file
