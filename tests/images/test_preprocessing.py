import hashlib
import sys

import numpy as np
import pytest

from samphire.errors import MissingExtraError, ShapeError
from samphire.geometry import Size
from samphire.images.preprocessing import PREPROCESSING, lite_medsam, medsam, preprocessing, sam
from samphire.images.resize import resize


def _picture(width: int, height: int) -> np.ndarray:
    """The source of the golden data, from its recipe."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    noise = np.random.RandomState(20240 + 7 * width + height).randint(0, 64, (height, width, 3))
    ramps = [191 * x // max(width - 1, 1), 191 * y // max(height - 1, 1), (5 * x + 3 * y) % 192]
    return (np.stack(ramps, -1) + noise).astype(np.uint8)


def _recorded(golden, wanted):
    """The golden arrays of a family, by size: {(width, height): {name: array}}."""
    sizes: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    with np.load(golden / "preprocessing.npz") as arrays:
        for key in arrays.files:
            family, size, name = key.split("/")
            if family == wanted:
                width, height = map(int, size.split("x"))
                sizes.setdefault((width, height), {})[name] = arrays[key]
    return sizes


@pytest.fixture
def recorded(golden):
    sizes = _recorded(golden, "sam")
    assert len(sizes) == 10
    return sizes


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_the_input_is_that_of_the_published_code_for_ten_odd_sizes(recorded):
    for (width, height), expected in recorded.items():
        image = _picture(width, height)
        assert _sha256(image) == str(expected["source_sha256"])
        pixels, frame = sam(1024).apply(image)
        rows, columns = frame.resized.height, frame.resized.width
        assert [rows, columns] == expected["resized_hw"].tolist()
        assert _sha256(resize(image, frame.resized)) == str(expected["resized_uint8_sha256"])
        assert pixels.shape == (1, 3, 1024, 1024)
        assert pixels.dtype == np.float32
        part = pixels[0, :, :rows, :columns]
        parts = {
            "mean": part.mean(axis=(1, 2), dtype=np.float64),
            "std": part.std(axis=(1, 2), dtype=np.float64),
            "top_left": part[:, :8, :8],
            "bottom_right": part[:, -8:, -8:],
        }
        for name, found in parts.items():
            np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-5, err_msg=name)
        assert not pixels[0, :, rows:].any()
        assert not pixels[0, :, :, columns:].any()


def test_points_move_as_apply_coords_moves_them_for_ten_odd_sizes(recorded):
    for (width, height), expected in recorded.items():
        frame = sam(1024).frame(Size(height, width))
        found = frame.to_input(expected["points"])
        np.testing.assert_allclose(found, expected["points_resized"], rtol=1e-14, atol=1e-12)


def test_the_input_of_medsam_is_that_of_the_published_code_for_three_sizes(golden):
    pytest.importorskip("scipy")
    sizes = _recorded(golden, "medsam")
    assert len(sizes) == 3
    level = 1 / 254  # the resize is floating point: another SciPy may round one level off
    for (width, height), expected in sizes.items():
        image = _picture(width, height)
        pixels, frame = medsam(1024).apply(image)
        assert pixels.shape == (1, 3, 1024, 1024)
        exact = pixels[0].astype(np.float64)
        darkest, brightest = expected["squashed_min_max"].tolist()
        squashed = darkest + exact * (brightest - darkest)
        np.testing.assert_allclose(squashed, np.rint(squashed), rtol=0, atol=1e-4)
        sums = np.rint(squashed).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, expected["squashed_uint8_sums"], rtol=1e-4)
        np.testing.assert_allclose(exact.mean((1, 2)), expected["mean"], atol=1e-5)
        np.testing.assert_allclose(exact.std((1, 2)), expected["std"], atol=1e-5)
        corners = {"top_left": exact[:, :8, :8], "bottom_right": exact[:, -8:, -8:]}
        for name, found in corners.items():
            np.testing.assert_allclose(found, expected[name], rtol=0, atol=level + 1e-6)
        box = frame.to_input(expected["box"])
        np.testing.assert_allclose(box, expected["box_1024"], rtol=1e-12)


def test_medsam_squashes_and_its_prompts_move_on_each_axis_alone():
    frame = medsam(64).frame(Size(20, 40))
    assert frame.resized == Size(64, 64)
    assert frame.to_input([[10.0, 10.0, 20.0, 15.0]]).tolist() == [[16, 32, 32, 48]]


@pytest.mark.parametrize("make", [medsam, lite_medsam])
def test_medical_pictures_are_stretched_over_all_channels_together(make, rng):
    image = rng.integers(0, 40, (24, 48, 3), np.uint8)
    image[..., 1] += 30
    pixels, frame = make(48).apply(image)
    part = pixels[0, :, : frame.resized.height, : frame.resized.width]
    assert (part.min(), part.max()) == (0, 1)
    assert part[0].max() < 0.75  # its own brightest is not the picture's
    assert part[1].min() > 0.25


@pytest.mark.parametrize("make", [medsam, lite_medsam])
def test_a_flat_medical_picture_is_0(make):
    pixels, _ = make(64).apply(np.full((64, 64, 3), 77, np.uint8))
    assert not pixels.any()


@pytest.mark.parametrize("make", [sam, medsam, lite_medsam])
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (7, 200), (64, 64)])
def test_pictures_of_any_shape_fit(make, size, rng):
    pixels, frame = make(64).apply(rng.integers(0, 256, (*size, 3), np.uint8))
    assert pixels.shape == (1, 3, 64, 64)
    assert np.isfinite(pixels).all()
    assert not pixels[0, :, frame.resized.height :].any()
    assert not pixels[0, :, :, frame.resized.width :].any()


def test_without_scipy_medsam_is_one_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"SciPy, .* pip install 'samphire\[medical\]'"):
        medsam(64).apply(np.zeros((8, 8, 3), np.uint8))


def test_a_spline_keeps_the_range_of_the_picture():
    pytest.importorskip("scipy")
    image = np.full((16, 16, 3), 50, np.uint8)
    image[:, 8:] = 200  # the spline swings over at such an edge
    resized = resize(image, Size(64, 64), "spline")
    assert (resized.min(), resized.max()) == (50, 200)


def test_a_picture_of_the_mean_colour_is_0_like_the_padding():
    image = np.tile(np.array([124, 116, 104], np.uint8), (20, 40, 1))
    pixels, frame = sam(64).apply(image)
    assert frame.resized == Size(32, 64)
    np.testing.assert_allclose(pixels[0, :, 0, 0], [0.00557, -0.0049, 0.00819], atol=1e-5)
    assert not pixels[0, :, 32:].any()


def test_channels_stay_in_their_order_and_rows_stay_rows():
    image = np.zeros((64, 64, 3), np.uint8)
    image[3, 7] = [255, 0, 0]
    pixels, _ = sam(64).apply(image)
    assert np.argwhere(pixels[0, 0] > 2).tolist() == [[3, 7]]
    assert pixels[0, 1].max() < 0
    assert pixels[0, 2].max() < 0


def test_a_picture_of_the_right_size_is_not_resampled():
    image = _picture(64, 48)
    assert resize(image, Size(48, 64)) is image


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (1, 8, 8, 3)])
def test_what_is_no_rgb_picture_is_refused(shape):
    with pytest.raises(ShapeError, match=r"image has shape .*: expected \(H, W, 3\)"):
        sam(64).apply(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_an_id_gives_its_record_back(side):
    for make in PREPROCESSING.values():
        assert preprocessing(make(side).id) == make(side)


@pytest.mark.parametrize("name", ["sam-1024", "medsam-1024", "lite-medsam-256"])
def test_every_trained_model_answers_in_a_square_of_256(name):
    assert preprocessing(name).low_res_side == 256
    assert preprocessing(name).id == name


@pytest.mark.parametrize(
    "name", ["", "sam", "sam-", "sam-0", "sam-1000", "sam--16", "sam-64.0", "squash-64"]
)
def test_an_id_that_is_not_known_is_refused(name):
    with pytest.raises(
        ValueError, match=f"preprocessing '{name}' is not known here: expected FAMILY-"
    ):
        preprocessing(name)
