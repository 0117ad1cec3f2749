import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samphire.geometry import Frame, Size
from samphire.images.preprocessing import lite_medsam, medsam, sam
from samphire.masks import Masks, rle
from samphire.masks.scores import stability_score
from samphire.predict.upscale import ReducedMask, reduce_mask, upscale

quick = settings(max_examples=100)
sides = st.integers(1, 130)
frames = st.builds(lambda height, width: sam(64).frame(Size(height, width)), sides, sides)
medical_frames = st.builds(
    lambda record, height, width: record.frame(Size(height, width)),
    st.sampled_from([medsam(64), lite_medsam(16)]),
    sides,
    sides,
)


def _assert_cut_of_the_whole(found: ReducedMask, logits: np.ndarray, frame: Frame) -> None:
    """Equal to cutting the whole upscaled array; no logit may lie on an edge of the cut."""
    whole = upscale(logits, frame)
    assert whole.shape == (frame.original.height, frame.original.width)
    for edge in (-1, 0, 1):
        if np.abs(whole - edge).min() < 1e-4:  # rounding decides: not what is tested
            return
    expected = Masks.from_arrays(whole[None] > 0)
    assert list(found.box) == expected.boxes[0].tolist()
    assert found.runs.tolist() == expected.runs[0].tolist()
    assert found.stability == pytest.approx(float(stability_score(whole)), abs=1e-7)


@quick
@given(frames, st.integers(0, 2**31), st.sampled_from([-6.0, -3.0, 0.0, 3.0]))
def test_a_reduced_mask_is_the_cut_of_the_whole_upscaled_array(frame, seed, shift):
    noise = np.random.default_rng(seed).standard_normal((16, 16))
    _assert_cut_of_the_whole(
        reduce_mask(a := (3 * noise + shift).astype(np.float32), frame), a, frame
    )


@quick
@given(medical_frames, st.integers(0, 2**31), st.sampled_from([-6.0, -3.0, 0.0, 3.0]))
def test_a_reduced_mask_of_a_medical_model_is_the_cut_of_the_whole(frame, seed, shift):
    noise = np.random.default_rng(seed).standard_normal((16, 16))
    logits = (3 * noise + shift).astype(np.float32)
    _assert_cut_of_the_whole(reduce_mask(logits, frame), logits, frame)


@quick
@given(sides, sides, st.integers(0, 99), st.sampled_from([1.0, 10.0]))
def test_medsam_averages_probabilities_and_gives_their_logit(height, width, seed, scale):
    functional = pytest.importorskip("torch").nn.functional
    torch = pytest.importorskip("torch")
    logits = scale * np.random.default_rng(seed).standard_normal((16, 16))
    probabilities = torch.from_numpy(logits)[None, None].sigmoid()  # float64
    expected = functional.interpolate(probabilities, (height, width), mode="bilinear")[0, 0]
    found = upscale(logits.astype(np.float32), medsam(64).frame(Size(height, width)))
    assert found.dtype == np.float32
    # coordinates are float32, so a neighbour's weight of 0 may be 1e-6: nothing for a
    # probability, much for a logit far from the cut
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), expected, rtol=0, atol=1e-5)
    near = np.abs(expected.logit().numpy()) < 3
    np.testing.assert_allclose(found[near], expected.logit().numpy()[near], rtol=0, atol=1e-3)


def test_averaging_logits_instead_gives_another_mask():
    logits = np.full((16, 16), -1.0, np.float32)
    logits[:, 8:] = 30.0  # one sure cell would drag its neighbours along
    size = Size(64, 64)
    by_logits = upscale(logits, sam(64).frame(size)) > 0
    by_probability = upscale(logits, medsam(64).frame(size)) > 0
    assert by_logits.sum() > by_probability.sum() > 64 * 32


@pytest.mark.parametrize("value", [60.0, 300.0, 1e30])
def test_logits_of_any_size_stay_finite_and_symmetric(value):
    logits = np.full((16, 16), -value, np.float32)
    logits[4:12, 4:12] = value
    frame = medsam(64).frame(Size(50, 70))
    whole = upscale(logits, frame)
    assert np.isfinite(whole).all()
    assert whole[25, 35] == pytest.approx(60, rel=1e-5)
    assert whole[0, 0] == -whole[25, 35]
    np.testing.assert_array_equal(upscale(-logits, frame), -whole)


def test_it_equals_the_original_postprocessing(golden):
    with np.load(golden / "vit_b_tiny.npz") as file:
        resized, original = (
            Size(*map(int, file[f"postprocess/{name}_size_hw"])) for name in ("input", "original")
        )
        low_res, expected = file["points_boxes/low_multi"][:1], file["postprocess/masks"]
    frame = sam(128).frame(original, resized)
    found = [upscale(logits, frame) for logits in low_res[0]]
    np.testing.assert_allclose(found, expected[0], atol=1e-5, rtol=0)


@quick
@given(frames, st.integers(0, 15), st.integers(0, 15), st.floats(0.5, 30))
def test_a_mask_of_one_cell_is_the_cut_of_the_whole(frame, row, column, height):
    logits = np.full((16, 16), -7.3, np.float32)
    logits[row, column] = height
    _assert_cut_of_the_whole(reduce_mask(logits, frame), logits, frame)


@quick
@given(frames)
def test_logits_that_are_all_negative_give_an_empty_mask(frame):
    for value in (-9.0, -0.5):
        found = reduce_mask(np.full((16, 16), value, np.float32), frame)
        assert found.box == (0, 0, 0, 0)
        assert rle.area(found.runs) == 0
        assert found.stability == 0


@quick
@given(frames)
def test_logits_that_are_all_positive_give_the_whole_picture(frame):
    found = reduce_mask(np.full((16, 16), 5, np.float32), frame)
    assert found.box == (0, 0, frame.original.width, frame.original.height)
    assert found.runs.tolist() == [0, frame.original.width * frame.original.height]
    assert found.stability == 1


def test_what_lies_in_the_padding_only_is_no_mask():
    frame = sam(64).frame(Size(20, 40))
    logits = np.full((16, 16), -9, np.float32)
    logits[10:] = 20
    found = reduce_mask(logits, frame)
    assert found.box == (0, 0, 0, 0)
    assert found.stability == 0


def test_a_mask_of_one_pixel_has_its_box_and_one_pixel():
    frame = sam(64).frame(Size(16, 16))  # 64 input pixels: four low-resolution cells a pixel
    logits = np.full((16, 16), -20, np.float32)
    logits[5, 9] = 20
    found = reduce_mask(logits, frame)
    assert found.box == (9, 5, 10, 6)
    assert found.runs.tolist() == [0, 1]


def test_a_pixel_whose_neighbours_sink_it_counts_for_stability_only():
    frame = sam(64).frame(Size(16, 16))
    logits = np.full((16, 16), -3, np.float32)
    logits[3, 3] = 0.5  # in the larger cut, above -1, and not in the smaller, above 1
    logits[8, 8] = 9
    whole = upscale(logits, frame)
    assert (whole > -1).sum() > (whole > 1).sum() > 0
    assert reduce_mask(logits, frame).stability == pytest.approx(
        (whole > 1).sum() / (whole > -1).sum()
    )


@pytest.mark.parametrize("size", [(603, 1072), (40, 2000)])
def test_at_the_size_of_the_real_model_the_window_changes_nothing(size, rng):
    frame = sam(1024).frame(Size(*size))
    y, x = np.mgrid[:256, :256] / 256
    logits = (8 - 90 * np.hypot(x - 0.4, y - 0.1) + 0.5 * rng.standard_normal(x.shape)).astype(
        np.float32
    )
    found, whole = reduce_mask(logits, frame), upscale(logits, frame)
    masks = Masks.from_runs(frame.original, [found.box], (found.runs,))
    differs = masks.to_array()[0] != (whole > 0)
    assert masks.area[0] > 100
    assert not differs[np.abs(whole) > 1e-4].any()
    assert found.stability == pytest.approx(float(stability_score(whole)), abs=1e-4)


def _peak(run, *arguments) -> float:
    tracemalloc.start()
    run(*arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("record", [sam, medsam])
@pytest.mark.parametrize("size", [Size(1, 300_000), Size(300_000, 1), Size(150_000, 2)])
def test_memory_follows_the_pixels_not_the_sides(size, record):
    frame = record(1024).frame(size)
    logits = np.full((256, 256), 5, np.float32)
    assert reduce_mask(logits, frame).box == (0, 0, size.width, size.height)
    assert _peak(reduce_mask, logits, frame) < 60e6  # a matrix of 300,000 x 256: 307 MB


def test_a_mask_longer_than_a_band_is_the_cut_of_the_whole(rng):
    logits = (4 * rng.standard_normal((16, 16)) + 1).astype(np.float32)
    for size in (Size(3, 3000), Size(2000, 30), Size(600, 700)):
        _assert_cut_of_the_whole(reduce_mask(logits, frame := sam(64).frame(size)), logits, frame)
