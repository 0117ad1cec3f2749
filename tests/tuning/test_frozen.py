"""The encoder in two parts: what is trained on is what is used, to the bit."""

import numpy as np
import pytest
import torch
from conftest import random_weights
from random_adapters import adapter_of
from tuning.discs import read

import samphire
from samphire.adapters import Adaptation
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.cache import Cache
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import AdapterError
from samphire.model import variants
from samphire.tuning import frozen
from samphire.tuning.frozen import FrozenEncoder, second_part

pytestmark = pytest.mark.slow

METHODS = [Decoder(), Lora(), Lora(blocks="last:1"), Bottleneck(), Partial(parts=("full",))]


def encoder_of(engine, method, cache=None):
    adapted = Adaptation(method).apply(engine.module)
    return adapted, FrozenEncoder(adapted, engine.info, cache)


def test_training_sees_the_pixels_that_using_sees(tiny_engine, monkeypatch):
    image = read(0, 1).image
    _, encoder = encoder_of(tiny_engine, Partial(parts=("full",)))
    assert encoder.cut == "pixels"
    pixels, frame = encoder.tokens(image)
    seen = []
    real = tiny_engine.encode
    monkeypatch.setattr(tiny_engine, "encode", lambda given: seen.append(given) or real(given))
    embedding = samphire.embed(tiny_engine, image)
    assert np.array_equal(seen[0], pixels.numpy())
    assert frame == embedding.frame


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("kept", [False, True], ids=["computed", "kept"])
def test_an_embedding_in_training_is_that_of_an_engine_with_the_adapter(
    method, kept, tiny_engine, tmp_path
):
    image = read(0, 1).image
    file = adapter_of(tiny_engine, method)
    adapted, encoder = encoder_of(tiny_engine, method, Cache(tmp_path) if kept else None)
    adapted.load(file.tensors)
    worn = tiny_engine.wearing(file)
    expected = samphire.embed(worn, image)
    for _ in range(2):  # the second time from the disk
        found = encoder.embedding(image, worn.info)
        assert np.array_equal(found.features, expected.features)
        assert (found.frame, found.key) == (expected.frame, expected.key)
    assert encoder.encoded == (0 if encoder.cut == "pixels" else 1 if kept else 2)


def test_what_is_kept_is_known_by_pixels_place_and_weights(tiny_engine, tmp_path):
    cache = Cache(tmp_path)

    def key(engine, method, image):
        return encoder_of(engine, method, cache)[1]._key(image)

    image = read(0, 1).image
    module = variants.tiny()
    random_weights(module, seed=1)
    other = TorchEngine(module, model="tiny", preprocessing="sam-64")
    prepared = TorchEngine(tiny_engine.module, model="tiny", preprocessing="sam-128")
    changed = image.copy()
    changed[0, 0, 0] ^= 1
    keys = [
        key(tiny_engine, Decoder(), image),
        key(other, Decoder(), image),
        key(prepared, Decoder(), image),
        key(tiny_engine, Lora(blocks="last:1"), image),
        key(tiny_engine, Lora(blocks="last:2"), image),
        key(tiny_engine, Decoder(), changed),
        key(tiny_engine, Decoder(), image[:, ::-1]),
        key(tiny_engine, Decoder(), image.reshape(image.shape[1], image.shape[0], 3)),
    ]
    assert len(set(keys)) == len(keys)
    assert key(tiny_engine, Decoder(), image.copy()) == keys[0]
    # the base is all that lies before the place, so two methods share what is kept
    assert key(tiny_engine, Bottleneck(blocks="last:1"), image) == keys[3]


def test_a_place_behind_what_trains_is_refused(tiny_engine):
    adapted, encoder = encoder_of(tiny_engine, Lora(blocks="last:2"))
    for value in adapted.parameters().values():
        value.requires_grad_()
    tokens, _ = encoder.tokens(read(0, 1).image)
    second_part(adapted.module, tokens, encoder.cut)
    with pytest.raises(AdapterError, match="keep less"):
        second_part(adapted.module, tokens, "embedding")


def test_a_damaged_file_is_computed_again(tiny_engine, tmp_path):
    image = read(0, 1).image
    _, encoder = encoder_of(tiny_engine, Decoder(), Cache(tmp_path))
    good, _ = encoder.tokens(image)
    (file,) = tmp_path.glob("*.tokens.npy")
    for damage in (b"", file.read_bytes()[:50], b"x" * 400):
        file.write_bytes(damage)
        again, _ = encoder.tokens(image)
        assert torch.equal(good, again)


def test_kept_tokens_are_a_copy_that_steps_may_write_to(tiny_engine, tmp_path):
    image = read(0, 1).image
    _, encoder = encoder_of(tiny_engine, Decoder(), Cache(tmp_path))
    encoder.tokens(image)
    tokens, _ = encoder.tokens(image)
    good = tokens.clone()
    tokens.zero_()
    assert torch.equal(encoder.tokens(image)[0], good)
    assert frozen._decode(None) is None
