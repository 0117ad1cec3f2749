"""The torch engine: sessions, identity, devices, candidates that are dropped."""

import numpy as np
import pytest
import torch
from conftest import random_weights

import samphire
from samphire.engines import torch_engine
from samphire.engines.base import Engine, Session
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import EngineUnavailableError, ShapeError
from samphire.model import variants
from samphire.prompts import InputPrompts


def embed(engine: Engine, seed: int):
    image = np.random.default_rng(seed).integers(0, 256, (40, 64, 3), np.uint8)
    return samphire.embed(engine, image)


PROMPTS = InputPrompts(points=np.array([[[5.0, 6.0]], [[30.0, 20.0]]]), labels=np.ones((2, 1)))


def test_it_keeps_the_protocol(tiny_engine):
    engine: Engine = tiny_engine
    session: Session = engine.session(embed(engine, 0))
    low_res = session.decode(PROMPTS, multimask=True)
    assert low_res.logits.shape == (6, 16, 16)
    assert low_res.kept.tolist() == [[b, m] for b in range(2) for m in range(3)]
    assert low_res.predicted_iou.shape == (2, 3)


def test_candidates_below_the_minimum_are_dropped_and_named(tiny_engine):
    session = tiny_engine.session(embed(tiny_engine, 0))
    everything = session.decode(PROMPTS, multimask=True)
    middle = float(np.sort(everything.predicted_iou.ravel())[2])
    some = session.decode(PROMPTS, multimask=True, min_predicted_iou=middle)
    assert len(some.logits) == 3
    np.testing.assert_array_equal(some.predicted_iou, everything.predicted_iou)
    for logits, (b, m) in zip(some.logits, some.kept, strict=True):
        assert everything.predicted_iou[b, m] > middle
        np.testing.assert_array_equal(logits, everything.grid[b, m])


def test_the_session_of_an_embedding_is_kept_and_the_oldest_goes(tiny_sam, monkeypatch):
    engine = TorchEngine(tiny_sam, model="tiny", preprocessing="sam-64")
    embeddings = [embed(engine, seed) for seed in range(3)]
    monkeypatch.setattr(torch_engine, "SESSION_BYTES", 4 * embeddings[0].features.nbytes)  # two
    first = engine.session(embeddings[0])
    second = engine.session(embeddings[1])
    assert engine.session(embeddings[0]) is first
    engine.session(embeddings[2])  # the second has not been used for longest
    assert engine.session(embeddings[0]) is first
    assert engine.session(embeddings[1]) is not second


def test_a_session_does_not_share_memory_with_the_embedding(tiny_engine):
    embedding = embed(tiny_engine, 0)
    before = tiny_engine.session(embedding).decode(PROMPTS, multimask=False)
    writable = embedding.features.copy()
    changed = samphire.ImageEmbedding(
        writable, embedding.frame, embedding.key, embedding.made_by, embedding.image
    )
    session = tiny_engine.session(changed)
    writable[:] = 0
    np.testing.assert_array_equal(session.decode(PROMPTS, multimask=False).logits, before.logits)


def test_the_ids_name_the_weights(tiny_sam, tiny_engine):
    same = variants.tiny()
    same.load_state_dict(tiny_sam.state_dict())
    assert TorchEngine(same).info.base_id == tiny_engine.info.base_id
    with torch.no_grad():
        same.mask_decoder.iou_token.weight[0, 0] += 1
    other = TorchEngine(same).info
    assert other.base_id != tiny_engine.info.base_id
    assert other.encoder_id == tiny_engine.info.encoder_id


def test_batch_norms_are_put_into_eval_mode(tiny_sam):
    sam = variants.tiny()
    random_weights(sam)
    assert sam.training
    engine = TorchEngine(sam, model="tiny", preprocessing="sam-64")
    expected = tiny_sam.encode(torch.ones(1, 3, 64, 64)).detach().numpy()
    np.testing.assert_array_equal(engine.encode(np.ones((1, 3, 64, 64), np.float32)), expected)


def test_pixels_of_another_shape_are_refused(tiny_engine):
    with pytest.raises(ShapeError, match="pixels has shape"):
        tiny_engine.encode(np.zeros((1, 64, 64, 3), np.float32))


@pytest.mark.parametrize("device", ["cuda:7", "nonsense"])
def test_a_device_that_is_not_here_is_one_clear_error(tiny_sam, device):
    with pytest.raises(EngineUnavailableError, match=f"device '{device}' cannot be used here"):
        TorchEngine(tiny_sam, device=device)
