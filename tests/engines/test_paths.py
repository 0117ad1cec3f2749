"""The fast path of an engine: the plain one's answers, whatever the model wears."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import random_weights
from random_adapters import adapter_of
from small_vit import small_vit

import samphire
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder
from samphire.engines.fast_path import fast_sam
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import EngineUnavailableError
from samphire.images.preprocessing import preprocessing
from samphire.model import variants
from samphire.model.tiny_encoder import TinyViT

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
PROMPTS = {
    "one point": {"points": [(20, 20)]},
    "all of a point": {"points": [(20, 20)], "multimask": True},
    "two objects": {"points": [[(5, 9), (30, 20)], [(50, 30), (9, 9)]], "labels": [[1, 0], [1, 1]]},
    "nine boxes": {"boxes": [(x, x, 40 + x, 30 + x) for x in range(9)]},
}


@pytest.fixture(scope="module", params=["tiny", "vit"])
def sam(request):
    made = variants.tiny() if request.param == "tiny" else small_vit(table_side=64)
    random_weights(made)
    return made.eval()


def engine(sam, path):
    return TorchEngine(sam, model="tiny", preprocessing="sam-64", path=path)


@pytest.fixture
def both(sam):
    """The fast engine and the plain one."""
    return engine(sam, "fast"), engine(sam, "plain")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)


@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS)
def test_the_answers_are_those_of_the_plain_path(both, picture, prompts):
    fast, plain = both
    assert (fast.info.path, plain.info.path) == ("fast", "plain")
    embedded = [samphire.embed(each, picture) for each in both]
    np.testing.assert_allclose(embedded[0].features, embedded[1].features, **CLOSE)
    found, expected = (
        samphire.decode(each, embedded[1], **prompts).low_res for each in (fast, plain)
    )
    np.testing.assert_allclose(found.logits, expected.logits, **CLOSE)
    np.testing.assert_allclose(found.predicted_iou, expected.predicted_iou, **CLOSE)
    assert np.array_equal(found.kept, expected.kept)


def test_a_mask_and_an_earlier_answer_refine_as_on_the_plain_path(both, picture):
    fast, plain = both
    embedding = samphire.embed(plain, picture)
    earlier = samphire.decode(plain, embedding, points=[(20, 20)])
    mask = np.zeros((40, 64), np.bool_)
    mask[10:30, 10:40] = True
    for more in ({"mask": mask}, {"previous": earlier[0, 0]}):
        prompts = {"points": [(20, 20)], **more}
        found, expected = (
            samphire.decode(each, embedding, **prompts).low_res for each in (fast, plain)
        )
        np.testing.assert_allclose(found.logits, expected.logits, **CLOSE)


def test_masks_below_the_minimum_are_left_out(both, picture):
    embedding = samphire.embed(both[1], picture)
    frame = embedding.frame
    points = np.random.default_rng(1).uniform((0, 0), (64, 40), (20, 2))
    prompts = samphire.prompts.InputPrompts(
        points=frame.to_input(points)[:, None], labels=np.ones((20, 1), np.int32)
    )
    scores = both[1].session(embedding).decode(prompts, multimask=True).predicted_iou
    least = float(np.median(scores)) + 1e-3
    found, expected = (
        each.session(embedding).decode(prompts, multimask=True, min_predicted_iou=least)
        for each in both
    )
    assert 0 < len(expected.kept) < scores.size
    assert np.array_equal(found.kept, expected.kept)
    np.testing.assert_allclose(found.logits, expected.logits, **CLOSE)


@pytest.mark.parametrize(
    "method", [Lora(), Lora(targets=("q", "k", "v", "proj", "mlp")), Decoder()]
)
def test_what_can_be_merged_is_fast(both, picture, method):
    adapter = adapter_of(both[1], method, ("left", "right"), decoder=True)
    worn = [each.wearing(adapter) for each in both]
    assert [each.info.path for each in worn] == ["fast", "plain"]
    check_worn(worn, picture)


def test_a_block_with_an_adapter_that_cannot_be_merged_stays_plain(sam, picture):
    adapter = adapter_of(engine(sam, "plain"), Bottleneck(blocks="last:1"))
    worn = [engine(sam, path).wearing(adapter) for path in ("auto", "plain")]
    assert worn[0].info.path == "mixed"
    assert len(worn[0].plain_parts) == 1
    assert "block" in worn[0].plain_parts[0]
    check_worn(worn, picture)
    with pytest.raises(EngineUnavailableError, match=r"no fast path: image encoder, .*block"):
        engine(sam, "fast").wearing(adapter)


def check_worn(worn, picture):
    embedded = [samphire.embed(each, picture) for each in worn]
    np.testing.assert_allclose(embedded[0].features, embedded[1].features, **CLOSE)
    found, expected = (
        samphire.decode(each, embedding, points=[(20, 20)], multimask=True).low_res
        for each, embedding in zip(worn, embedded, strict=True)
    )
    np.testing.assert_allclose(found.logits, expected.logits, **CLOSE)
    if worn[0].info.classes:
        found, expected = (
            each.session(embedding).classify()
            for each, embedding in zip(worn, embedded, strict=True)
        )
        np.testing.assert_allclose(found, expected, **CLOSE)


def test_the_base_answers_as_before_while_another_engine_wears_an_adapter(both, picture):
    fast, _ = both
    before = samphire.embed(fast, picture)
    worn = fast.wearing(adapter_of(fast, Lora()))
    assert not np.allclose(samphire.embed(worn, picture).features, before.features)
    assert samphire.embed(fast, picture).equal(before)


def test_a_hook_in_the_decoder_keeps_it_plain_and_is_called(sam, picture):
    seen = []
    hook = sam.mask_decoder.iou_prediction_head.register_forward_hook(lambda *_: seen.append(1))
    try:
        watched = engine(sam, "auto")
        assert watched.plain_parts == ("mask decoder: iou_prediction_head has a hook",)
        samphire.decode(watched, samphire.embed(watched, picture), points=[(20, 20)])
    finally:
        hook.remove()
    assert seen


def test_a_session_is_shared_between_threads(both, picture):
    fast, _ = both
    embedding = samphire.embed(fast, picture)

    def answer(x):
        return samphire.decode(fast, embedding, points=[(x, 20)]).low_res.logits

    alone = [answer(x) for x in range(0, 60, 5)]
    fresh = samphire.embed(fast, picture)
    embedding = fresh
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(answer, range(0, 60, 5)))
    for one, other in zip(alone, together, strict=True):
        # other threads of Python may have other numbers of torch's threads, and so other tiles
        np.testing.assert_allclose(one, other, **CLOSE)


def test_half_precision_has_no_fast_path_and_says_so(sam):
    def halved(path):
        return TorchEngine(sam, preprocessing="sam-64", dtype="bfloat16", path=path)

    assert halved("auto").info.path == "plain"
    with pytest.raises(EngineUnavailableError, match=r"on a CPU it computes in float32"):
        halved("fast")


def test_elsewhere_than_on_a_cpu_the_attention_of_a_vit_is_fused_where_asked_for(sam, picture):
    """On a CPU, for want of another device: nothing of it depends on where the tensors lie."""
    elsewhere = torch.device("cuda")
    assert fast_sam(sam, "auto", elsewhere, torch.float32) is None
    if isinstance(sam.image_encoder, TinyViT):
        with pytest.raises(EngineUnavailableError, match="a TinyViT has none on cuda"):
            fast_sam(sam, "fast", elsewhere, torch.float32)
        return
    found = fast_sam(sam, "fast", elsewhere, torch.float32)
    assert (found.plain_parts, found.decoder()) == ((), None)
    pixels, _ = preprocessing("sam-64").apply(picture)
    with torch.inference_mode():
        embedded, expected = (each.encode(torch.from_numpy(pixels)) for each in (found, sam))
    torch.testing.assert_close(embedded, expected, rtol=1e-4, atol=1e-4)


def test_a_path_that_is_none_is_refused(sam):
    with pytest.raises(EngineUnavailableError, match="path 'quick': expected auto, plain or fast"):
        engine(sam, "quick")


def test_load_is_fast_where_it_can_be(tiny_weights):
    assert samphire.load(tiny_weights, device="cpu").info.path == "fast"
    assert samphire.load(tiny_weights, device="cpu", path="plain").info.path == "plain"
