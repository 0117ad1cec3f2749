import dataclasses

import numpy as np
import pytest

from samphire.embedding import EmbeddingKey, EngineInfo, ImageEmbedding, LowRes
from samphire.errors import EmbeddingMismatchError, ShapeError
from samphire.geometry import Size
from samphire.images.preprocessing import sam

FRAME = sam(64).frame(Size(30, 50))
INFO = EngineInfo(
    model="vit_t",
    preprocessing="sam-64",
    encoder_id="e" * 64,
    base_id="b" * 64,
    runtime="torch",
    path="plain",
    device="cpu",
    dtype="float32",
)


@pytest.fixture
def embedding(rng):
    return ImageEmbedding(
        features=rng.standard_normal((1, 8, 4, 4)),
        frame=FRAME,
        key=EmbeddingKey(INFO.encoder_id, INFO.preprocessing, "p" * 64),
        made_by=str(INFO),
        image="photo.jpg",
    )


def test_an_engine_and_an_embedding_print_in_one_line(embedding):
    assert str(INFO) == "vit_t (torch plain, cpu, float32)"
    assert repr(embedding) == (
        "ImageEmbedding(photo.jpg, 50x30, 1x8x4x4, vit_t (torch plain, cpu, float32))"
    )


def test_features_are_read_only_float32_of_its_own(rng):
    given = rng.standard_normal((1, 8, 4, 4)).astype(np.float32)
    made = ImageEmbedding(given, FRAME, EmbeddingKey("e", "sam-64", "p"), "test")
    given[:] = 0
    assert made.features.dtype == np.float32
    assert made.features.any()
    assert not made.features.flags.writeable


@pytest.mark.parametrize("shape", [(8, 4, 4), (2, 8, 4, 4), (1, 8, 4, 5)])
def test_features_of_another_shape_are_refused(embedding, shape):
    with pytest.raises(ShapeError, match=r"features has shape .*: expected \(1, C, G, G\)"):
        dataclasses.replace(embedding, features=np.zeros(shape))


def test_embeddings_are_equal_by_key_frame_and_features_and_not_by_their_maker(embedding):
    other = dataclasses.replace(embedding, features=embedding.features + 1)
    assert embedding.equal(dataclasses.replace(embedding, made_by="onnx", image="copy.jpg"))
    assert not embedding.equal(other)
    assert not embedding.equal(dataclasses.replace(embedding, frame=sam(64).frame(Size(30, 49))))
    key = dataclasses.replace(embedding.key, pixels="q" * 64)
    assert not embedding.equal(dataclasses.replace(embedding, key=key))


def test_an_engine_of_the_same_encoder_and_preprocessing_is_accepted(embedding):
    embedding.check_made_for(INFO)
    elsewhere = {"runtime": "onnx", "path": "fast", "device": "cuda:0", "dtype": "bfloat16"}
    embedding.check_made_for(dataclasses.replace(INFO, base_id="c" * 64, model="mine", **elsewhere))


@pytest.mark.parametrize("change", [{"encoder_id": "f" * 64}, {"preprocessing": "sam-1024"}])
def test_another_encoder_or_preprocessing_is_refused_and_both_are_named(embedding, change):
    other = dataclasses.replace(INFO, model="vit_b", **change)
    with pytest.raises(EmbeddingMismatchError) as caught:
        embedding.check_made_for(other)
    message = str(caught.value)
    for word in (
        "photo.jpg",
        "vit_t",
        "vit_b",
        "e" * 12,
        "sam-64",
        *(v[:12] for v in change.values()),
    ):
        assert word in message
    assert "embed the image again" in message


def _low_res(objects=2, candidates=3, side=4) -> LowRes:
    count = objects * candidates
    return LowRes(
        logits=np.arange(count * side**2).reshape(count, side, side),
        kept=np.argwhere(np.ones((objects, candidates))),
        predicted_iou=np.arange(count).reshape(objects, candidates),
    )


def test_the_grid_has_the_logits_of_candidate_m_of_object_b_at_b_m():
    low_res = _low_res()
    assert low_res.grid.shape == (2, 3, 4, 4)
    for row, (b, m) in enumerate(low_res.kept):
        assert np.array_equal(low_res.grid[b, m], low_res.logits[row])
    assert not low_res.grid.flags.writeable


def test_there_is_no_grid_where_candidates_were_dropped():
    whole = _low_res()
    some = LowRes(whole.logits[:4], whole.kept[:4], whole.predicted_iou)
    with pytest.raises(ValueError, match="4 of 6 candidates were kept: use logits and kept"):
        _ = some.grid


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros((6, 4, 5))}, r"logits has shape .* expected \(K, S, S\)"),
        ({"kept": np.zeros((5, 2))}, r"kept has shape \(5, 2\): expected \(6, 2\)"),
        ({"predicted_iou": np.zeros(6)}, r"predicted_iou has shape \(6,\): expected \(B, M\)"),
    ],
)
def test_a_low_res_answer_whose_parts_do_not_fit_is_refused(change, message):
    with pytest.raises(ShapeError, match=message):
        dataclasses.replace(_low_res(), **change)


def test_low_res_arrays_are_read_only_and_of_their_types():
    low_res = _low_res()
    for name, dtype in {"logits": "f4", "kept": "i4", "predicted_iou": "f4"}.items():
        assert getattr(low_res, name).dtype == dtype
        assert not getattr(low_res, name).flags.writeable
