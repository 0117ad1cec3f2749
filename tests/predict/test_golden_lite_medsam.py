"""lite_medsam on CT slices equals the original code, within the golden README's limits."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from pycocotools import mask as coco

import samphire
from samphire.geometry import Size
from samphire.images.preprocessing import preprocessing
from samphire.images.read import read_image
from samphire.images.resize import resize

CASES = ["amos_0006_90", "s0114_111", "s0619_32"]
EMBEDDING, LOGITS, IOU, CORNERS = 1e-5, 1e-3, 1e-5, 1e-5
RECORD = preprocessing("lite-medsam-256")


@dataclass(frozen=True)
class Recorded:
    image: np.ndarray
    arrays: dict
    facts: dict


@pytest.fixture(scope="module", params=CASES)
def recorded(request, data, golden):
    facts = json.loads((golden / "lite_medsam.json").read_text())["cases"][request.param]
    prefix = f"{request.param}/"
    with np.load(golden / "lite_medsam.npz") as file:
        arrays = {key.removeprefix(prefix): file[key] for key in file if key.startswith(prefix)}
    image = read_image(data / "medical" / "ct_slices" / facts["image"])
    return Recorded(image, arrays, facts)


@pytest.fixture(scope="module")
def engine():
    """The real model."""
    return samphire.load("lite_medsam", device="cpu", progress=False)


@pytest.fixture(scope="module")
def embedding(recorded, engine):
    return samphire.embed(engine, recorded.image)


def within(found, expected, limit):
    np.testing.assert_allclose(found, expected, atol=limit, rtol=0)


def test_the_resized_slice_is_within_one_level(recorded):
    frame = RECORD.frame(Size(*recorded.image.shape[:2]))
    found = resize(recorded.image, frame.resized, RECORD.kernel)
    expected = recorded.arrays["resized_uint8"].astype(int)  # one channel of three alike
    for channel in range(3):
        within(found[..., channel].astype(int), expected, 1)


def test_the_models_input(recorded):
    pixels, frame = RECORD.apply(recorded.image)
    part = pixels[0, :, : frame.resized.height, : frame.resized.width]
    exact = part.astype(np.float64)
    within(exact.mean((1, 2)), recorded.arrays["input_mean"], CORNERS)
    within(exact.std((1, 2)), recorded.arrays["input_std"], CORNERS)
    within(part[:, :8, :8], recorded.arrays["input_top_left"], CORNERS)
    within(part[:, -8:, -8:], recorded.arrays["input_bottom_right"], CORNERS)
    assert (part.min(), part.max()) == (0, 1)
    assert not pixels[0, :, frame.resized.height :].any()


def test_the_box_is_cut_to_whole_pixels(recorded):
    frame = RECORD.frame(Size(*recorded.image.shape[:2]))
    found = frame.to_input(recorded.facts["box_xyxy"])
    assert found.tolist() == recorded.arrays["box_256"].tolist()
    within(
        frame.to_input(np.reshape(recorded.facts["box_xyxy"], (2, 2))).ravel(),
        recorded.facts["box_256_untruncated"],
        1e-9,
    )


@pytest.mark.weights
def test_the_embedding(recorded, embedding):
    features = embedding.features
    within(features[0, :, ::4, ::4], recorded.arrays["embedding_sub"], EMBEDDING)
    exact = features.astype(np.float64)
    stats = [exact.mean(), exact.std(), np.abs(exact).max(), np.abs(exact).sum()]
    np.testing.assert_allclose(stats, recorded.arrays["embedding_stats"], rtol=1e-5, atol=1e-7)


@pytest.mark.weights
def test_the_logits_and_the_score(recorded, engine, embedding):
    decoded = samphire.decode(engine, embedding, boxes=recorded.facts["box_xyxy"])
    logits = decoded[0, 0]
    within(decoded.predicted_iou, recorded.arrays["iou"], IOU)
    within(logits[::5, ::5], recorded.arrays["low_5th"], LOGITS)
    if "low_float32" in recorded.arrays:
        within(logits, recorded.arrays["low_float32"], LOGITS)
    else:
        coarse = recorded.arrays["low_coarse"].astype(np.float32)
        rounding = np.where(np.abs(coarse) < 2, 1 / 64, 1 / 8) + LOGITS
        assert (np.abs(logits - coarse) <= rounding).all()


@pytest.mark.weights
def test_the_mask_in_the_original_frame(recorded, engine, embedding):
    (mask,) = samphire.segment(engine, embedding, boxes=recorded.facts["box_xyxy"])
    expected = coco.decode(recorded.facts["mask"]).astype(bool)
    different = np.count_nonzero(mask.to_array()[0] != expected)
    assert different <= recorded.facts["pixels_within_1e_3_of_zero"]


@pytest.mark.weights
def test_an_embedding_comes_back_from_a_file_with_its_frame(embedding, tmp_path):
    samphire.save_embedding(embedding, tmp_path / "slice.safetensors")
    assert samphire.load_embedding(tmp_path / "slice.safetensors").equal(embedding)
