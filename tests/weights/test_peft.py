"""Adapters in PEFT's layout: ours as PEFT's and back, and PEFT's as ours."""

import functools
import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from conftest import random_weights
from safetensors import safe_open

from samphire.adapters import Adaptation, merged_tensors
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.sites import encoder_blocks
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import AdapterError
from samphire.model.variants import tiny, vit
from samphire.weights.adapter_file import AdapterFile
from samphire.weights.peft import CONFIG, MODEL, load_peft, save_peft

pytestmark = pytest.mark.slow

EVERY = ("q", "k", "v", "proj", "mlp", "decoder")
METHODS = {
    "q, v": Lora(rank=2, alpha=3.0),
    "v, last block": Lora(rank=3, alpha=0.7, targets=("v",), blocks="last:1"),
    "every target": Lora(rank=2, alpha=5.0, targets=EVERY),
    "rank-stabilised": Lora(rank=3, alpha=2.0, targets=("k", "mlp"), rank_stabilised=True),
    "decoder alone": Lora(rank=1, targets=("decoder",)),
}


def untrained(name):
    return tiny() if name == "tiny" else vit(32, 2, 2, (1,), table_side=64)


@functools.cache
def toy(name):
    """An engine with fixed random weights; adapters never write to it."""
    sam = untrained(name)
    random_weights(sam)
    return TorchEngine(sam.eval(), model=name, preprocessing="sam-64")


@pytest.fixture(params=["tiny", "vit"])
def engine(request):
    return toy(request.param)


def adapter_of(engine, method, *, decoder=False, classes=()):
    """An adapter with random tensors."""
    adaptation = Adaptation(method, decoder=decoder, classes=classes)
    generator = torch.Generator().manual_seed(7)
    tensors = {
        name: value
        + (0.2 if ".updates." in name else 0.02) * torch.randn(value.shape, generator=generator)
        for name, value in adaptation.apply(engine.module).tensors().items()
    }
    return AdapterFile(
        adaptation=adaptation,
        base=engine.info.model,
        base_id=engine.info.base_id,
        preprocessing=engine.info.preprocessing,
        tensors=tensors,
        window="-160 to 240 HU",
        data={"name": "discs"},
        metrics={"dice": 0.5},
    )


@torch.no_grad()
def answer(sam):
    """Embedding, logits and predicted IoU of a picture and two points."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(1, 3, 64, 64, generator=generator)
    points = (torch.tensor([[[20.0, 30.0]], [[50.0, 9.0]]]), torch.ones(2, 1, dtype=torch.int))
    features = sam.encode(pixels)
    parts = (features, *sam.decode(features, points, None, None, True))
    return torch.cat([part.flatten() for part in parts])


def answer_with(engine, adapter):
    adapted = adapter.adaptation.apply(engine.module)
    adapted.load(adapter.tensors)
    return answer(adapted.module)


def weights_that_change(engine, adapter):
    """Path of each projection that the adapter changes -> the difference."""
    adapted = adapter.adaptation.apply(engine.module)
    adapted.load(adapter.tensors)
    before = engine.module.state_dict()
    return {
        name.removesuffix(".weight"): value - before[name]
        for name, value in merged_tensors(adapted).items()
        if not torch.equal(value, before[name])
    }


def without_notes(folder):
    """As PEFT saves it again: the same tensors, nothing of Samphire's."""
    tensors = safetensors.torch.load_file(folder / MODEL)
    safetensors.torch.save_file(tensors, folder / MODEL, {"format": "pt"})


def change(folder, **settings):
    config = json.loads((folder / CONFIG).read_text()) | settings
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_ours_comes_back_exactly(engine, method, tmp_path):
    adapter = adapter_of(engine, method)
    save_peft(tmp_path, adapter, engine.module)
    read = load_peft(tmp_path, engine.module, info=engine.info)
    assert read.id == adapter.id
    assert (read.window, read.data, read.metrics) == (adapter.window, adapter.data, adapter.metrics)


def test_a_trained_decoder_and_updates_that_are_zero_come_back(engine, tmp_path):
    adapter = adapter_of(engine, Lora(rank=2), decoder=True)
    for name, value in adapter.tensors.items():
        if name.endswith(".updates.q.b"):
            value.zero_()
    save_peft(tmp_path, adapter, engine.module)
    assert load_peft(tmp_path, engine.module, info=engine.info).id == adapter.id


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_without_notes_the_settings_are_found_in_the_tensors(engine, method, tmp_path):
    adapter = adapter_of(engine, method)
    save_peft(tmp_path, adapter, engine.module)
    without_notes(tmp_path)
    read = load_peft(tmp_path, engine.module, info=engine.info)
    found = read.adaptation.method
    assert replace(found, alpha=0.5, rank_stabilised=False) == replace(
        method, alpha=0.5, rank_stabilised=False
    )
    assert found.scale == pytest.approx(method.scale, rel=1e-12)
    assert read.tensors.keys() == adapter.tensors.keys()
    assert all(torch.equal(read.tensors[name], adapter.tensors[name]) for name in read.tensors)


def test_a_full_update_of_the_fused_projection_is_shared_out(engine, tmp_path):
    """No zeros in B: q, k and v get the same A, and their rows of B."""
    save_peft(tmp_path, adapter_of(engine, Lora(rank=2, targets=("q", "k", "v"))), engine.module)
    without_notes(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / MODEL)
    generator = torch.Generator().manual_seed(3)
    tensors = {k: torch.randn(v.shape, generator=generator) / 5 for k, v in tensors.items()}
    safetensors.torch.save_file(tensors, tmp_path / MODEL)
    read = load_peft(tmp_path, engine.module, info=engine.info)
    assert read.adaptation.method.targets == ("q", "k", "v")
    assert read.adaptation.method.rank == 6

    scale = read.adaptation.method.scale
    for path, weight in weights_that_change(engine, read).items():
        a, b = (tensors[f"base_model.model.{path}.lora_{side}.weight"] for side in "AB")
        torch.testing.assert_close(weight, scale * b @ a, atol=1e-5, rtol=1e-5)


def test_layers_of_other_rank_and_scale_become_one_adapter(tmp_path):
    """The second block has a smaller rank and another alpha."""
    engine = toy("vit")
    save_peft(tmp_path, adapter_of(engine, Lora(rank=3, targets=("proj",))), engine.module)
    without_notes(tmp_path)
    name = "base_model.model.image_encoder.blocks.{}.attn.proj.lora_{}.weight"
    tensors = safetensors.torch.load_file(tmp_path / MODEL)
    tensors[name.format(1, "A")] = tensors[name.format(1, "A")][:1].clone()
    tensors[name.format(1, "B")] = tensors[name.format(1, "B")][:, :1].clone()
    safetensors.torch.save_file(tensors, tmp_path / MODEL)
    change(tmp_path, lora_alpha=6, alpha_pattern={r"blocks\.1\.attn\.proj": 0.5})
    read = load_peft(tmp_path, engine.module, info=engine.info)
    changed = weights_that_change(engine, read)
    for block, scale in ((0, 2.0), (1, 0.5)):
        a, b = (tensors[name.format(block, side)] for side in "AB")
        found = changed[f"image_encoder.blocks.{block}.attn.proj"]
        torch.testing.assert_close(found, scale * b @ a, atol=1e-5, rtol=1e-5)


def test_rank_stabilised_settings_of_peft_are_understood(tmp_path):
    engine = toy("vit")
    save_peft(tmp_path, adapter_of(engine, Lora(rank=4, targets=("proj",))), engine.module)
    without_notes(tmp_path)
    change(tmp_path, lora_alpha=3, use_rslora=True)
    read = load_peft(tmp_path, engine.module, info=engine.info)
    assert read.adaptation.method.scale == 1.5


def test_only_lora_without_classes_is_exported(engine, tmp_path):
    with pytest.raises(AdapterError, match="method is adapter"):
        save_peft(tmp_path / "a", adapter_of(engine, Bottleneck()), engine.module)
    classes = adapter_of(engine, Lora(), classes=("liver", "spleen"))
    with pytest.raises(AdapterError, match=r"classes \(liver, spleen\).*samphire.load"):
        save_peft(tmp_path / "a", classes, engine.module)
    assert not (tmp_path / "a").exists()


def test_an_adapter_of_another_model_is_refused(tmp_path):
    save_peft(tmp_path, adapter_of(toy("vit"), Lora()), toy("vit").module)
    info = replace(toy("vit").info, base_id="f" * 64)
    with pytest.raises(AdapterError, match="weights ffffffffffff"):
        load_peft(tmp_path, toy("vit").module, info=info)
    without_notes(tmp_path)
    with pytest.raises(AdapterError, match=r"blocks.0.attn.qkv.*is it of this model"):
        load_peft(tmp_path, toy("tiny").module, info=toy("tiny").info)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"peft_type": "LOHA"}, "'LOHA', expected 'LORA'"),
        ({"use_dora": True}, "use_dora = True"),
        ({"a_setting_of_the_future": 3}, "a_setting_of_the_future = 3"),
        ({"bias": "lora_only"}, "bias = 'lora_only'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa'"),
        ({"modules_to_save": ["neck"]}, r"modules_to_save = \['neck'\]"),
        ({"lora_alpha": "much"}, "no configuration"),
        ({"alpha_pattern": {"(": 1}}, "no configuration"),
    ],
)
def test_settings_that_are_more_than_lora_are_refused(settings, said, tmp_path):
    engine = toy("vit")
    save_peft(tmp_path, adapter_of(engine, Lora()), engine.module)
    without_notes(tmp_path)
    load_peft(tmp_path, engine.module, info=engine.info)
    change(tmp_path, **settings)
    with pytest.raises(AdapterError, match=said):
        load_peft(tmp_path, engine.module, info=engine.info)


def test_other_tensors_missing_ones_and_zeros_are_refused(tmp_path):
    engine = toy("vit")
    save_peft(tmp_path, adapter_of(engine, Lora()), engine.module)
    good = safetensors.torch.load_file(tmp_path / MODEL)
    path = "base_model.model.image_encoder.blocks.0.attn.qkv"
    for tensors, said in [
        (good | {f"{path}.lora_magnitude_vector": torch.ones(3)}, "lora_magnitude_vector"),
        (good | {f"{path}.lora_B.weight": torch.tensor(1.0)}, r"lora_B \(\)"),
        (good | {"base_model.model.mask_decoder.x": torch.ones(3)}, "mask_decoder.x"),
        ({k: v for k, v in good.items() if k != f"{path}.lora_B.weight"}, r"lora_B \(0,\)"),
        ({k: torch.zeros_like(v) for k, v in good.items()}, "every update of lora is zero"),
    ]:
        safetensors.torch.save_file(tensors, tmp_path / MODEL)
        with pytest.raises(AdapterError, match=said):
            load_peft(tmp_path, engine.module, info=engine.info)


def test_ours_with_changed_tensors_or_settings_is_refused(tmp_path):
    engine = toy("vit")
    save_peft(tmp_path, adapter_of(engine, Lora()), engine.module)
    change(tmp_path, lora_alpha=1)
    with pytest.raises(AdapterError, match="was changed after"):
        load_peft(tmp_path, engine.module, info=engine.info)
    save_peft(tmp_path, adapter_of(engine, Lora()), engine.module)
    with safe_open(tmp_path / MODEL, framework="pt") as file:
        notes, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["base_model.model.image_encoder.blocks.0.attn.qkv.lora_B.weight"] += 1
    safetensors.torch.save_file(tensors, tmp_path / MODEL, notes)
    with pytest.raises(AdapterError, match="was changed after"):
        load_peft(tmp_path, engine.module, info=engine.info)
    safetensors.torch.save_file(tensors, tmp_path / MODEL, {"samphire": "{}"})
    with pytest.raises(AdapterError, match=r"notes .* damaged"):
        load_peft(tmp_path, engine.module, info=engine.info)


def test_pickles_are_never_opened(tmp_path):
    engine = toy("vit")
    save_peft(tmp_path, adapter_of(engine, Lora()), engine.module)
    (tmp_path / MODEL).rename(tmp_path / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"pickle.*save_pretrained"):
        load_peft(tmp_path, engine.module, info=engine.info)
    (tmp_path / "adapter_model.bin").unlink()
    with pytest.raises(FileNotFoundError):
        load_peft(tmp_path, engine.module, info=engine.info)
    (tmp_path / MODEL).write_bytes(b"no tensors")
    with pytest.raises(AdapterError, match="damaged or no safetensors"):
        load_peft(tmp_path, engine.module, info=engine.info)


def copy_of(engine):
    """A model that PEFT may change."""
    plain = untrained(engine.info.model)
    plain.load_state_dict(engine.module.state_dict())
    return plain.eval()


@pytest.fixture
def peft(monkeypatch):
    """The library, kept off the network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("peft")


def check_that_peft_answers_as_ours(peft, engine, adapter, folder):
    save_peft(folder, adapter, engine.module)
    theirs = peft.PeftModel.from_pretrained(copy_of(engine), folder).eval()
    expected = answer_with(engine, adapter)
    torch.testing.assert_close(answer(theirs), expected, atol=1e-5, rtol=1e-5)
    assert (expected - answer(engine.module)).abs().max() > 0.01
    theirs.save_pretrained(folder / "again")
    read = load_peft(folder / "again", engine.module, info=engine.info)
    assert read.tensors.keys() == adapter.tensors.keys()
    assert all(torch.equal(read.tensors[name], value) for name, value in adapter.tensors.items())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_peft_answers_as_ours_and_saves_what_ours_reads(peft, engine, method, tmp_path):
    check_that_peft_answers_as_ours(peft, engine, adapter_of(engine, method), tmp_path)


def test_peft_answers_as_ours_where_the_decoder_trained(peft, engine, tmp_path):
    adapter = adapter_of(engine, Lora(rank=2, targets=("v", "mlp")), decoder=True)
    check_that_peft_answers_as_ours(peft, engine, adapter, tmp_path)


CONFIGS = {
    "proj": {"r": 3, "lora_alpha": 5, "target_modules": ["attn.proj"]},
    "all of qkv": {"r": 2, "lora_alpha": 3, "target_modules": ["qkv"], "use_rslora": True},
    "proj and decoder": {
        "r": 2,
        "target_modules": ["attn.proj"],
        "modules_to_save": ["mask_decoder"],
    },
    "decoder's q and v": {"r": 2, "target_modules": ["q_proj", "v_proj"]},
    "ranks by pattern": {
        "r": 4,
        "target_modules": r".*attn\.(qkv|proj)",
        "rank_pattern": {"attn.proj": 2},
        "alpha_pattern": {"proj": 7},
    },
}


@pytest.mark.parametrize("settings", CONFIGS.values(), ids=CONFIGS)
def test_ours_answers_as_peft(peft, engine, settings, tmp_path):
    theirs = peft.get_peft_model(copy_of(engine), peft.LoraConfig(**settings)).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in theirs.parameters():
            if value.requires_grad:
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
    theirs.save_pretrained(tmp_path)
    read = load_peft(tmp_path, engine.module, info=engine.info)
    expected = answer(theirs)
    torch.testing.assert_close(answer_with(engine, read), expected, atol=1e-5, rtol=1e-5)
    assert (expected - answer(engine.module)).abs().max() > 0.01
    assert (read.base_id, read.preprocessing) == (engine.info.base_id, engine.info.preprocessing)


def test_peft_adapters_of_one_late_block_name_that_block(peft, tmp_path):
    engine = toy("vit")
    last = encoder_blocks(engine.module)[-1]
    config = peft.LoraConfig(r=2, target_modules=[f"{last}.attn.proj"], init_lora_weights=False)
    peft.get_peft_model(copy_of(engine), config).save_pretrained(tmp_path)
    read = load_peft(tmp_path, engine.module, info=engine.info)
    assert read.adaptation.method.blocks == "last:1"
