"""Files of adapters: whole, bound to their base, and nothing else in them."""

from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch
from conftest import random_weights
from random_adapters import adapter_of
from safetensors import safe_open

import samphire
from samphire.adapters import Adaptation
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import AdapterError
from samphire.model import variants
from samphire.weights.adapter_file import load_adapter
from samphire.weights.same_bytes import safetensors_bytes
from samphire.weights.weights_file import DIGEST, content_digest


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


def test_a_file_comes_back_as_it_was_written(tiny_engine, tmp_path):
    adapter = adapter_of(tiny_engine, Lora(rank=2, targets=("q",)), ("a", "b"), decoder=False)
    adapter.save(tmp_path / "a.safetensors")
    read = load_adapter(tmp_path / "a.safetensors")
    assert read.adaptation == adapter.adaptation
    assert (read.data, read.metrics) == ({"name": "discs"}, {"dice": 0.5})
    assert read.id == adapter.id
    assert all(torch.equal(read.tensors[name], value) for name, value in adapter.tensors.items())
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        assert set(file.keys()) == set(adapter.tensors)


def test_what_it_has_seen_is_kept_and_not_known_of_earlier_files(tiny_engine, tmp_path):
    path = tmp_path / "a.safetensors"
    adapter = replace(adapter_of(tiny_engine, Lora()), seen=("0" * 16, "f" * 16))
    adapter.save(path)
    read = load_adapter(path)
    assert read.seen == adapter.seen
    assert read.id == replace(adapter, seen=()).id
    with safe_open(path, framework="numpy") as file:
        notes = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del notes["seen"]
    notes[DIGEST] = content_digest({k: v for k, v in notes.items() if k != DIGEST}, arrays)
    path.write_bytes(safetensors_bytes(arrays, notes))
    assert load_adapter(path).seen == ()


def test_an_engine_wears_an_adapter_and_the_base_stays(tiny_engine, photo):
    adapter = adapter_of(tiny_engine, Bottleneck(), ("a", "b"))
    before = samphire.segment(tiny_engine, photo, points=[(20, 20)])
    worn = tiny_engine.wearing(adapter)
    masks = samphire.classify(worn, photo)
    assert masks.name == ("a", "b")
    assert masks.label.tolist() == [1, 2]
    dense = masks.to_array()
    assert not (dense[0] & dense[1]).any()
    assert worn.info.encoder_id != tiny_engine.info.encoder_id
    assert worn.info.adapter == adapter.id
    assert samphire.segment(tiny_engine, photo, points=[(20, 20)]).equal(before)
    changed = samphire.segment(worn, photo, points=[(20, 20)])
    assert changed.predicted_iou[0] != before.predicted_iou[0]


def test_an_adapter_of_the_decoder_takes_the_embeddings_of_the_base(tiny_engine, photo):
    worn = tiny_engine.wearing(adapter_of(tiny_engine, Decoder()))
    embedding = samphire.embed(tiny_engine, photo)
    masks = samphire.segment(worn, embedding, points=[(20, 20)])
    assert (
        masks.predicted_iou[0]
        != samphire.segment(tiny_engine, embedding, points=[(20, 20)]).predicted_iou[0]
    )
    in_encoder = tiny_engine.wearing(adapter_of(tiny_engine, Lora()))
    with pytest.raises(samphire.SamphireError, match="embed the image again"):
        samphire.segment(in_encoder, embedding, points=[(20, 20)])


def test_alpha_is_part_of_the_encoders_identity(tiny_engine):
    one = adapter_of(tiny_engine, Lora(alpha=8))
    other = replace(one, adaptation=Adaptation(Lora(alpha=16)))
    assert one.encoder_id("base") != other.encoder_id("base")


def test_another_base_or_preprocessing_is_refused(tiny_engine):
    adapter = adapter_of(tiny_engine, Lora())
    module = variants.tiny()
    random_weights(module, seed=1)
    other = TorchEngine(module, model="tiny", preprocessing="sam-64")
    with pytest.raises(AdapterError, match="load the model that it was trained on"):
        other.wearing(adapter)
    with pytest.raises(AdapterError, match="prepared as sam-128"):
        tiny_engine.wearing(replace(adapter, preprocessing="sam-128"))
    with pytest.raises(AdapterError, match="wears an adapter"):
        tiny_engine.wearing(adapter).wearing(adapter)


def test_an_equivalent_file_of_the_base_is_no_other_base(tiny_engine, tiny_sam):
    adapter = adapter_of(tiny_engine, Lora())
    same = TorchEngine(variants.tiny(), model="tiny", preprocessing="sam-64")
    same.module.load_state_dict(tiny_sam.state_dict())
    assert same.wearing(adapter).info.adapter == adapter.id


def test_classes_need_an_adapter_that_has_them(tiny_engine, photo):
    with pytest.raises(AdapterError, match="knows no classes"):
        samphire.classify(tiny_engine, photo)


def test_damage_and_other_files_are_told_apart(tiny_engine, tmp_path):
    path = tmp_path / "a.safetensors"
    adapter_of(tiny_engine, Lora(), decoder=False).save(path)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(AdapterError, match="damaged, its digest is another"):
        load_adapter(path)
    path.write_bytes(good[:100])
    with pytest.raises(AdapterError, match="damaged or no safetensors"):
        load_adapter(path)
    path.write_bytes(good.replace(b'"version":"1"', b'"version":"2"'))
    with pytest.raises(AdapterError, match="upgrade"):
        load_adapter(path)
    safetensors.numpy.save_file({"x": np.zeros(1)}, path)
    with pytest.raises(AdapterError, match="expected an adapter"):
        load_adapter(path)
    with pytest.raises(FileNotFoundError):
        load_adapter(tmp_path / "none.safetensors")


@pytest.mark.weights
def test_load_takes_an_adapter_file(vit_t, tmp_path):
    adapter = adapter_of(vit_t, Lora(blocks="last:2"), ("polyp",), decoder=False)
    adapter.save(tmp_path / "polyps.safetensors")
    engine = samphire.load("vit_t", adapter=tmp_path / "polyps.safetensors", device="cpu")
    assert engine.info.classes == ("polyp",)
    with pytest.raises(AdapterError, match="load the model that it was trained on"):
        samphire.load("lite_medsam", adapter=tmp_path / "polyps.safetensors", device="cpu")
