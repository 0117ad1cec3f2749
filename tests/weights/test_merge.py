"""A merged checkpoint is one of the plain model, to programs that never heard of adapters."""

import hashlib

import pytest
import torch
from conftest import random_weights
from random_adapters import adapter_of
from transformers import SamModel

from samphire.adapters.lora import Lora
from samphire.engines.torch_engine import TorchEngine
from samphire.model import variants
from samphire.weights.export import write_hugging_face, write_original
from samphire.weights.load import build, read_checkpoint
from samphire.weights.merge import merged

pytestmark = pytest.mark.slow

# SHA-256 of the sorted lines "name shape" of the file that ``test_real_weights.py`` pins: the
# original MobileSAM's class took all its 439 tensors, strictly.
MOBILE_SAM = "d794ba6abcfafd91e08aa7d88d0d262661527cf678468f1d83fc4ade45680356"


def read_with_engine(path, variant):
    """A checkpoint, and an engine to make adapters for it."""
    checkpoint = read_checkpoint(path, variant)
    module = build(checkpoint.variant, checkpoint.tensors, checkpoint.file).eval()
    name, preprocessing = checkpoint.variant, checkpoint.preprocessing
    return checkpoint, TorchEngine(module, model=name, preprocessing=preprocessing)


def test_lora_in_vit_t_becomes_a_file_with_the_published_names_and_shapes(tmp_path):
    module = variants.vit_t()
    random_weights(module)
    torch.save(module.state_dict(), tmp_path / "base.pth")
    checkpoint, engine = read_with_engine(tmp_path / "base.pth", "vit_t")
    adapter = adapter_of(engine, Lora())
    write_original(merged(checkpoint, adapter), tmp_path / "merged.pth")
    found = torch.load(tmp_path / "merged.pth", weights_only=True)
    lines = [f"{name} {tuple(found[name].shape)}" for name in sorted(found)]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == MOBILE_SAM
    changed = {k for k, v in found.items() if not torch.equal(v, checkpoint.tensors[k])}
    inside = {k for k in changed if k.startswith("image_encoder.")}
    assert inside
    assert all(name.endswith(".attn.qkv.weight") for name in inside)


def test_transformers_loads_merged_lora_whole_and_answers_as_the_adapter_does(small, tmp_path):
    torch.save(small, tmp_path / "base.pth")
    checkpoint, engine = read_with_engine(tmp_path / "base.pth", "vit_b")
    adapter = adapter_of(engine, Lora())
    write_hugging_face(merged(checkpoint, adapter), tmp_path / "folder")
    theirs, told = SamModel.from_pretrained(tmp_path / "folder", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    worn = engine.wearing(adapter).module
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    points, labels = torch.tensor([[[10.0, 20.0], [90.0, 30.0]]]), torch.tensor([[1, 0]])
    with torch.inference_mode():
        found = theirs.eval()(
            pixel_values=pixels, input_points=points[None], input_labels=labels[None]
        )
        logits, scores = worn(pixels, (points, labels), None, None, True)
        plain, _ = engine.module(pixels, (points, labels), None, None, True)
    scale = float(logits.abs().max())
    torch.testing.assert_close(found.pred_masks[0], logits, atol=1e-4 * scale, rtol=0)
    torch.testing.assert_close(found.iou_scores[0], scores, atol=1e-4, rtol=1e-4)
    assert float((plain - logits).abs().max()) > 1e-2 * scale
