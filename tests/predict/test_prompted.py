"""decode and segment: which mask, batches, refinement, threads, refusals."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import random_weights

import samphire
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import EmbeddingMismatchError, NonFiniteError, PromptError
from samphire.model import variants
from samphire.predict import prompted
from samphire.predict.mask_prompt import mask_prompt_logits
from samphire.predict.prompted import segment_prompts
from samphire.prompts import InputPrompts, ObjectPrompt, Prompts

HEIGHT, WIDTH = 48, 80


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def embedding(tiny_engine):
    return samphire.embed(tiny_engine, picture())


def close(found, expected):
    tolerance = max(1e-5, 1e-5 * float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)


ROUGH = np.zeros((HEIGHT, WIDTH), bool)
ROUGH[10:30, 20:50] = True

BATCHES = {
    "points": {"points": [[(5 + 7 * i, 3 + 4 * i)] for i in range(9)]},
    "labelled points": {
        "points": [[(5 + i, 3), (40, 9 + i)] for i in range(5)],
        "labels": [[1, 0]] * 5,
    },
    "boxes": {"boxes": [(i, i, 30 + 5 * i, 20 + 3 * i) for i in range(7)]},
    "points and boxes": {
        "points": [[(20, 10 + i)] for i in range(4)],
        "boxes": [(i, i, 60, 40) for i in range(4)],
    },
    "masks": {"mask": np.stack([np.roll(ROUGH, 3 * i, axis=1) for i in range(4)])},
    "more than one call": {"points": [[(i % WIDTH, i % HEIGHT)] for i in range(70)]},
    "lengths in any order": {
        "points": [[(1, 1)], [(2, 2), (3, 3)], [(40, 30)], [(9, 9), (8, 8)], [(70, 40)]]
    },
}


@pytest.mark.parametrize("multimask", [None, True, False])
@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_equals_a_loop_of_single_calls(tiny_engine, embedding, name, multimask):
    given = BATCHES[name]
    together = samphire.decode(tiny_engine, embedding, **given, multimask=multimask)
    for index in range(len(together.candidates)):
        alone = samphire.decode(
            tiny_engine,
            embedding,
            **{key: values[index : index + 1] for key, values in given.items()},
            multimask=multimask,
        )
        close(together.logits[index], alone.logits[0])
        close(together.predicted_iou[index], alone.predicted_iou[0])
        np.testing.assert_array_equal(together.candidates[index], alone.candidates[0])


def test_masks_of_mixed_objects_come_in_their_order(tiny_engine, embedding):
    points = BATCHES["lengths in any order"]["points"]
    masks = samphire.segment(tiny_engine, embedding, points=points, multimask=True)
    assert masks.prompt_index.tolist() == [i for i in range(5) for _ in range(3)]
    assert masks.candidate.tolist() == [1, 2, 3] * 5
    assert masks.point.tolist() == [list(map(float, points[i][0])) for i in masks.prompt_index]
    for index in range(5):
        alone = samphire.segment(tiny_engine, embedding, points=points[index], multimask=True)
        np.testing.assert_array_equal(
            masks[masks.prompt_index == index].to_array(), alone.to_array()
        )


@pytest.mark.parametrize(
    "given",
    [
        {"points": [(5, 5), (30, 20)]},
        {"boxes": (3, 3, 40, 30)},
        {"points": [(5, 5)], "boxes": (3, 3, 40, 30)},
        {"points": [(5, 5)], "mask": ROUGH},
        {"points": [(5, 5)], "previous": np.zeros((16, 16), np.float32)},
    ],
)
def test_prompts_that_leave_no_doubt_get_token_0(tiny_engine, embedding, given):
    decoded = samphire.decode(tiny_engine, embedding, **given)
    assert decoded.candidates.tolist() == [[0]]
    single = samphire.decode(tiny_engine, embedding, **given, multimask=False)
    np.testing.assert_array_equal(decoded.logits, single.logits)
    assert samphire.segment(tiny_engine, embedding, **given).candidate.tolist() == [0]


def test_a_single_point_gets_the_best_of_tokens_1_to_3(tiny_engine, embedding):
    chosen = set()
    for x in range(2, WIDTH, 6):
        three = samphire.decode(tiny_engine, embedding, points=[(x, 20)], multimask=True)
        best = samphire.decode(tiny_engine, embedding, points=[(x, 20)])
        token = int(three.predicted_iou[0].argmax())
        assert three.candidates.tolist() == [[1, 2, 3]]
        assert best.candidates.tolist() == [[token + 1]]
        np.testing.assert_array_equal(best[0, 0], three[0, token])
        assert best.predicted_iou[0, 0] == three.predicted_iou[0, token]
        chosen.add(token)


def test_coordinates_reach_the_model_in_its_input_frame(tiny_engine, embedding):
    """48 x 80 becomes 38 x 64 of the 64-pixel input: y is scaled by 38 / 48, x by 64 / 80."""
    decoded = samphire.decode(
        tiny_engine, embedding, points=[(40, 24)], labels=[0], boxes=(10, 12, 70, 40)
    )
    with torch.no_grad():
        logits, scores = tiny_engine.module.decode(
            torch.tensor(embedding.features),
            (torch.tensor([[[40 * 0.8, 24 * 38 / 48]]]), torch.tensor([[0]])),
            torch.tensor([[8.0, 12 * 38 / 48, 56.0, 40 * 38 / 48]]),
            None,
            False,
        )
    close(decoded.logits, logits.numpy())
    close(decoded.predicted_iou, scores.numpy())


def test_previous_logits_are_handed_on_unchanged(tiny_engine, embedding):
    first = samphire.decode(tiny_engine, embedding, points=[(20, 20)])
    points = [(20, 20), (50, 30)]
    again = samphire.decode(tiny_engine, embedding, points=points, previous=first[0, 0])
    prompts = InputPrompts(
        points=embedding.frame.to_input(points)[None],
        labels=np.array([[1, 1]]),
        masks=first[0, 0][None, None],
    )
    expected = tiny_engine.session(embedding).decode(prompts, multimask=False)
    np.testing.assert_array_equal(again.logits, expected.grid)
    without = samphire.decode(tiny_engine, embedding, points=points)
    assert np.abs(again.logits - without.logits).max() > 1e-3


def test_a_binary_mask_prompt_is_its_coverage_as_logits(tiny_engine, embedding):
    logits = mask_prompt_logits(ROUGH, embedding.frame)
    drawn = samphire.decode(tiny_engine, embedding, mask=ROUGH)
    handed = samphire.decode(tiny_engine, embedding, previous=logits)
    np.testing.assert_array_equal(drawn.logits, handed.logits)


def test_a_picture_is_embedded_on_the_way(tiny_engine, embedding):
    direct = samphire.segment(tiny_engine, picture(), points=[(20, 20)])
    assert direct.equal(samphire.segment(tiny_engine, embedding, points=[(20, 20)]))
    decoded = samphire.decode(tiny_engine, picture(), points=[(20, 20)])
    assert decoded.frame == embedding.frame


@pytest.mark.slow
def test_two_threads_on_two_images_get_what_one_gets(tiny_engine):
    embeddings = [samphire.embed(tiny_engine, picture(seed)) for seed in (1, 2)]
    calls = [(i % 2, [(3 + i % 70, 2 + i % 40)]) for i in range(200)]

    def answer(call):
        which, points = call
        decoded = samphire.decode(tiny_engine, embeddings[which], points=points, multimask=True)
        return decoded.logits, decoded.predicted_iou

    alone = [answer(call) for call in calls]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(answer, calls))
    for (logits, scores), (expected_logits, expected_scores) in zip(together, alone, strict=True):
        np.testing.assert_array_equal(logits, expected_logits)
        np.testing.assert_array_equal(scores, expected_scores)


def test_points_outside_are_refused_with_the_pictures_size(tiny_engine, tmp_path):
    from PIL import Image

    Image.fromarray(picture()).save(tmp_path / "photo.png")
    with pytest.raises(PromptError, match=r"point \(10, 60\) lies outside photo.png.* y < 48"):
        samphire.segment(tiny_engine, tmp_path / "photo.png", points=[(10, 60)])


@pytest.mark.parametrize("given", [{}, {"points": [[], [(1, 1)]]}])
def test_no_prompt_is_refused_by_segment(tiny_engine, embedding, given):
    with pytest.raises(PromptError, match="nothing to segment"):
        samphire.segment(tiny_engine, embedding, **given)


def test_no_prompt_is_legal_for_the_session(tiny_engine, embedding):
    nothing = InputPrompts(points=np.zeros((1, 0, 2)), labels=np.zeros((1, 0)))
    low_res = tiny_engine.session(embedding).decode(nothing, multimask=True)
    assert low_res.grid.shape == (1, 3, 16, 16)


def test_previous_logits_of_another_size_are_refused(tiny_engine, embedding):
    with pytest.raises(PromptError, match=r"previous has shape \(256, 256\): expected \(16, 16\)"):
        samphire.segment(
            tiny_engine, embedding, points=[(1, 1)], previous=np.zeros((256, 256), np.float32)
        )


def test_objects_that_were_read_already_may_be_mixed(tiny_engine, embedding):
    box = ObjectPrompt(points=np.zeros((0, 2)), labels=np.zeros(0), box=np.array([2, 2, 40, 40]))
    click = ObjectPrompt(points=np.array([[5, 5]]), labels=np.array([1]))
    masks = segment_prompts(tiny_engine, embedding, Prompts((box, click)))
    assert masks.prompt_index.tolist() == [0, 1]
    assert masks.candidate[0] == 0
    assert masks.candidate[1] in (1, 2, 3)
    assert np.isnan(masks.point[0]).all()


def test_the_embedding_of_another_encoder_is_refused(embedding):
    other = variants.tiny()
    random_weights(other, seed=1)
    engine = TorchEngine(other, model="other", preprocessing="sam-64")
    with pytest.raises(EmbeddingMismatchError, match="embed the image again"):
        samphire.segment(engine, embedding, points=[(5, 5)])


def test_a_model_that_gives_nan_is_an_error_and_not_a_mask(embedding):
    broken = variants.tiny()
    random_weights(broken)
    engine = TorchEngine(broken, model="tiny", preprocessing="sam-64")
    assert engine.info.encoder_id == embedding.key.encoder_id
    with torch.no_grad():
        broken.mask_decoder.mask_tokens.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        samphire.segment(engine, embedding, points=[(5, 5)])
    with torch.no_grad():
        broken.image_encoder.neck[0].weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="image embedding"):
        samphire.embed(engine, picture())


@pytest.mark.parametrize(
    ("given", "warned"),
    [({"points": [(5, 5)]}, True), ({"boxes": [(2, 2, 30, 30)]}, False),
     ({"boxes": [(2, 2, 30, 30)], "points": [(5, 5)]}, False)],
)  # fmt: skip
def test_a_model_trained_with_boxes_warns_once_of_other_prompts(tiny_sam, caplog, given, warned):
    prompted._warn_once.cache_clear()
    engine = TorchEngine(tiny_sam, model="medical", preprocessing="medsam-64")
    for _ in range(2):
        samphire.segment(engine, picture(), **given)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == warned
    assert all("medical was trained with boxes alone" in said for said in warnings)
