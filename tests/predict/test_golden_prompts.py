"""vit_t on real photos equals what the original code gave, within the golden README's limits."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

import samphire
from samphire.images.preprocessing import preprocessing
from samphire.images.read import read_image

pytestmark = pytest.mark.weights

PHOTOS = ["dogs", "room", "two_dogs_window", "fig_in_bowl"]
EMBEDDING, LOGITS, IOU, CORNERS = 1e-5, 1e-3, 1e-5, 1e-5


@dataclass(frozen=True)
class Recorded:
    path: Path
    arrays: dict
    facts: dict
    embedding: samphire.ImageEmbedding


@pytest.fixture(scope="module", params=PHOTOS)
def recorded(request, data, golden, vit_t_by_path):
    facts = json.loads((golden / "vit_t_prompts.json").read_text())["photos"][request.param]
    with np.load(golden / f"vit_t_prompts_{request.param}.npz") as file:
        arrays = {key: file[key] for key in file}
    path = data / "photos" / f"{request.param}.jpg"
    return Recorded(path, arrays, facts, samphire.embed(vit_t_by_path, path))


def within(found, expected, limit):
    np.testing.assert_allclose(found, expected, atol=limit, rtol=0)


def test_the_models_input(recorded):
    pixels, frame = preprocessing("sam-1024").apply(read_image(recorded.path))
    resized = pixels[0, :, : frame.resized.height, : frame.resized.width]
    exact = resized.astype(np.float64)
    within(exact.mean((1, 2)), recorded.arrays["input/mean"], CORNERS)
    within(exact.std((1, 2)), recorded.arrays["input/std"], CORNERS)
    within(resized[:, :8, :8], recorded.arrays["input/top_left"], CORNERS)
    within(resized[:, -8:, -8:], recorded.arrays["input/bottom_right"], CORNERS)


def test_the_embedding(recorded):
    features = recorded.embedding.features
    within(features[0, :, ::4, ::4], recorded.arrays["embedding/sub"], EMBEDDING)
    exact = features.astype(np.float64)
    stats = [exact.mean(), exact.std(), np.abs(exact).max(), np.abs(exact).sum()]
    np.testing.assert_allclose(stats, recorded.arrays["embedding/stats"], rtol=1e-5, atol=1e-7)


def arguments(recorded, vit_t_by_path, name):
    """The recorded prompt as arguments of decode."""
    prompt = recorded.facts["prompts"][name]["prompt"]
    given = {}
    if "points" in prompt:
        given["points"] = [point[:2] for point in prompt["points"]]
        given["labels"] = [point[2] for point in prompt["points"]]
    if "box" in prompt or "boxes" in prompt:
        given["boxes"] = prompt.get("box") or prompt["boxes"]
    if "mask_from" in prompt:
        first = arguments(recorded, vit_t_by_path, prompt["mask_from"])
        answers = samphire.decode(vit_t_by_path, recorded.embedding, **first, multimask=True)
        given["previous"] = answers[0, int(answers.predicted_iou[0].argmax())]
    return given


PROMPTS = ["pt1", "pt2", "posneg", "box", "box_neg", "mask_refine", "boxes3"]


@pytest.mark.parametrize("name", PROMPTS)
def test_logits_and_scores_of_all_four_tokens(recorded, vit_t_by_path, name):
    given = arguments(recorded, vit_t_by_path, name)
    answers = [
        samphire.decode(vit_t_by_path, recorded.embedding, **given, multimask=multimask)
        for multimask in (False, True)
    ]
    logits = np.concatenate([answer.logits for answer in answers], axis=1)
    scores = np.concatenate([answer.predicted_iou for answer in answers], axis=1)
    within(scores, recorded.arrays[f"{name}/iou"], IOU)
    within(logits[..., ::5, ::5], recorded.arrays[f"{name}/low_5th"], LOGITS)
    if f"{name}/low_float32" in recorded.arrays:
        within(logits[0], recorded.arrays[f"{name}/low_float32"], LOGITS)
    if f"{name}/low_coarse" in recorded.arrays:
        coarse = recorded.arrays[f"{name}/low_coarse"].astype(np.float32)
        rounding = np.where(np.abs(coarse) < 2, 1 / 64, 1 / 8) + LOGITS
        assert (np.abs(logits[0, recorded.arrays[f"{name}/tokens"]] - coarse) <= rounding).all()


@pytest.mark.parametrize("name", PROMPTS)
def test_masks_in_the_original_frame(recorded, vit_t_by_path, name):
    given = arguments(recorded, vit_t_by_path, name)
    facts = recorded.facts["prompts"][name]
    for multimask, tokens in ((False, [0]), (True, [1, 2, 3])):
        masks = samphire.segment(vit_t_by_path, recorded.embedding, **given, multimask=multimask)
        assert len(masks) == len(facts["masks"]) * len(tokens)
        for mask in masks:
            b, token = int(mask.prompt_index[0]), int(mask.candidate[0])
            assert token in tokens
            expected = coco.decode(facts["masks"][b][token]).astype(bool)
            different = np.count_nonzero(mask.to_array()[0] != expected)
            assert different <= facts["pixels_within_1e_3_of_zero"][b][token]


def test_a_single_click_is_answered_by_the_recorded_best_token(recorded, vit_t_by_path):
    given = arguments(recorded, vit_t_by_path, "pt1")
    masks = samphire.segment(vit_t_by_path, recorded.embedding, **given)
    assert masks.candidate.tolist() == recorded.facts["prompts"]["pt1"]["best_multimask_token"]
