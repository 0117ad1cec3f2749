"""``samphire merge``: weights that need no adapter, for Samphire and for others."""

import json

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import random_weights
from random_adapters import adapter_of
from safetensors.torch import load_file

import samphire
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.cli.__main__ import cli
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import AdapterError, OutputExistsError
from samphire.model import variants

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base():
    """A model of a published shape with random weights."""
    module = variants.lite_medsam()
    random_weights(module)
    return TorchEngine(module.eval(), model="lite_medsam", preprocessing="lite-medsam-256")


@pytest.fixture
def invoke(base, tmp_path, monkeypatch):
    """Merge an adapter into the model, inside an empty folder."""
    torch.save(base.module.state_dict(), tmp_path / "base.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))

    def run(adapter, *arguments):
        adapter.save(tmp_path / "worn.safetensors")
        line = ["merge", "worn.safetensors", "--model", "base.pth", *map(str, arguments)]
        return CliRunner().invoke(cli, line, standalone_mode=False)

    return run


@pytest.mark.parametrize(
    ("method", "name"),
    [(Lora(), "merged.pth"), (Decoder(), "merged.safetensors"), (Partial(), "merged.pt")],
    ids=["lora", "decoder", "partial"],
)
def test_the_merged_file_answers_as_the_adapter_does(invoke, base, method, name):
    adapter = adapter_of(base, method)
    result = invoke(adapter, "--output", name)
    assert (result.return_value or 0, result.stdout) == (0, f"{name}\n"), result.exception
    read = load_file(name) if name.endswith("safetensors") else torch.load(name, weights_only=True)
    own = base.module.state_dict()
    assert {key: value.shape for key, value in read.items()} == {
        key: value.shape for key, value in own.items()
    }
    photo = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    merged = samphire.load(name, device="cpu")
    assert not merged.info.adapter
    assert merged.info.base_id != base.info.base_id

    def logits(engine):
        return samphire.decode(engine, samphire.embed(engine, photo), boxes=[(5, 5, 50, 30)]).logits

    worn, plain = logits(base.wearing(adapter)), logits(base)
    scale = np.abs(worn).max()
    assert np.abs(logits(merged) - worn).max() < 1e-4 * scale
    assert np.abs(plain - worn).max() > 1e-2 * scale


def test_what_was_merged_is_told_as_json(invoke, base):
    result = invoke(adapter_of(base, Decoder()), "--output", "merged.pth", "--json")
    assert json.loads(result.stdout) == {
        "variant": "lite_medsam",
        "preprocessing": "lite-medsam-256",
        "output": "merged.pth",
    }


@pytest.mark.parametrize(
    ("method", "classes", "message"),
    [
        (Bottleneck(), (), "which is no linear map"),
        (Lora(), ("polyp",), "a plain checkpoint has no place for their head"),
    ],
)
def test_what_a_plain_model_has_no_place_for_is_refused(
    invoke, base, tmp_path, method, classes, message
):
    result = invoke(adapter_of(base, method, classes), "--output", "merged.pth")
    assert isinstance(result.exception, AdapterError)
    assert message in str(result.exception)
    assert not (tmp_path / "merged.pth").exists()


def test_an_adapter_of_other_weights_is_refused(invoke, base, tmp_path):
    other = variants.lite_medsam()
    random_weights(other, seed=1)
    torch.save(other.state_dict(), tmp_path / "other.pth")
    result = invoke(adapter_of(base, Lora()), "--output", "merged.pth", "--model", "other.pth")
    assert "load the model that it was trained on" in str(result.exception)


def test_a_file_that_is_there_or_of_another_kind_is_refused(invoke, base, tmp_path):
    (tmp_path / "there.pth").write_bytes(b"mine")
    adapter = adapter_of(base, Decoder())
    assert isinstance(invoke(adapter, "--output", "there.pth").exception, OutputExistsError)
    assert (tmp_path / "there.pth").read_bytes() == b"mine"
    assert (invoke(adapter, "--output", "there.pth", "--force").return_value or 0) == 0
    result = invoke(adapter, "--output", "merged.onnx")
    assert isinstance(result.exception, click.UsageError)
    assert ".pth, .pt, .safetensors" in result.exception.message
    missing = CliRunner().invoke(
        cli, ["merge", "none.safetensors", "--output", "a.pth"], standalone_mode=False
    )
    assert missing.exception.message == "ADAPTER: none.safetensors: no such file"
    (tmp_path / "broken.safetensors").write_bytes(b"no adapter")
    broken = CliRunner().invoke(
        cli, ["merge", "broken.safetensors", "--output", "a.pth"], standalone_mode=False
    )
    assert broken.exception.message.startswith("ADAPTER: broken.safetensors is damaged")
