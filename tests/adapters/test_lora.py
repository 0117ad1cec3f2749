"""LoRA: the right rows, the right numbers, and folded into the weights."""

import copy
from dataclasses import replace

import pytest
import torch
from adapted import answer, train

from samphire.adapters import Adaptation, folded, merged_tensors
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora, LoraLinear
from samphire.adapters.partial import Decoder
from samphire.adapters.sites import encoder_blocks, qkv_rows
from samphire.errors import AdapterError
from samphire.model.sam import Sam


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_an_update_reaches_its_part_of_every_head_and_no_other(part, sam, pixels):
    """Other projects slice TinyViT's rows, which lie head by head, as a ViT's."""
    adapted = Adaptation(Lora(rank=1, targets=(part,)), decoder=False).apply(sam)
    path = next(name for name in encoder_blocks(sam) if hasattr(sam.get_submodule(name), "attn"))
    before = sam.get_submodule(f"{path}.attn")
    wrapper = adapted.module.get_submodule(f"{path}.attn.qkv")
    with torch.no_grad():
        wrapper.updates[part].b.fill_(1)
    channels = before.qkv.in_features
    x = torch.randn(3, 7, channels)
    heads = before.num_heads
    with torch.no_grad():
        plain, moved = before.qkv(x), wrapper(x)
    if sam.image_encoder.__class__.__name__ == "TinyViT":  # (heads, q k v, d)
        split = [y.unflatten(2, (heads, 3, -1)).transpose(2, 3) for y in (plain, moved)]
    else:  # (q k v, heads, d), as the attention reshapes it
        split = [y.unflatten(2, (3, heads, -1)) for y in (plain, moved)]
    for place, name in enumerate("qkv"):
        same = split[0][:, :, place].eq(split[1][:, :, place])
        assert same.all() if name != part else not same.any()


def test_rows_of_the_three_parts_are_all_rows_once(sam):
    for path in encoder_blocks(sam):
        block = sam.get_submodule(path)
        if hasattr(block, "attn"):
            rows = torch.cat([qkv_rows(block.attn, part) for part in "qkv"])
            assert rows.sort().values.equal(torch.arange(block.attn.qkv.out_features))


@pytest.mark.slow
@pytest.mark.parametrize("targets", [("q", "v"), ("q", "k", "v", "proj", "mlp", "decoder")])
def test_a_merged_checkpoint_answers_as_the_adapter_does(targets, sam, pixels):
    adapted = Adaptation(Lora(targets=targets, alpha=16), decoder=False).apply(sam)
    train(adapted, pixels)
    merged = merged_tensors(adapted)
    expected_keys = sam.state_dict().keys()
    assert merged.keys() == expected_keys
    other = copy.deepcopy(sam)
    other.load_state_dict(merged, strict=True)
    with torch.no_grad():
        expected = answer(adapted, pixels)
        plain = answer(Adaptation(Decoder()).apply(other), pixels)
    for one, other in zip(expected, plain, strict=True):
        assert (one - other).abs().max() < 1e-4 * max(1, one.abs().max())


def test_merging_refuses_what_no_plain_checkpoint_holds(sam):
    with pytest.raises(AdapterError, match="no linear map"):
        merged_tensors(Adaptation(Bottleneck()).apply(sam))
    with pytest.raises(AdapterError, match="has classes"):
        merged_tensors(Adaptation(Lora(), classes=("a",)).apply(sam))


@pytest.mark.slow
@pytest.mark.parametrize("stabilised", [False, True])
def test_an_update_is_what_peft_computes(stabilised, sam, pixels):
    """Two updates on a fused projection are one of twice the rank with zeros between them."""
    from peft import LoraConfig, get_peft_model

    rank, twice = 3, 2**0.5 if stabilised else 2
    method = Lora(rank=rank, alpha=6.0, blocks="last:1", rank_stabilised=stabilised)
    adapted = Adaptation(method, decoder=False).apply(sam)
    train(adapted, pixels)
    path = f"{encoder_blocks(sam)[-1]}.attn"
    wrapper = adapted.module.get_submodule(f"{path}.qkv")
    config = LoraConfig(
        r=2 * rank, lora_alpha=6.0 * twice, target_modules=["qkv"], use_rslora=stabilised
    )
    theirs = get_peft_model(copy.deepcopy(sam.get_submodule(path)), config).base_model.model.qkv
    with torch.no_grad():
        for start, part in ((0, "q"), (rank, "v")):
            update, columns = wrapper.updates[part], slice(start, start + rank)
            theirs.lora_A["default"].weight[columns] = update.a
            theirs.lora_B["default"].weight[wrapper.rows(part), columns] = update.b
        x = torch.randn(2, 5, wrapper.base.in_features)
        expected = theirs(x)
        assert torch.allclose(wrapper(x), expected, atol=1e-5)
        assert not torch.allclose(wrapper.base(x), expected, atol=1e-2)


def test_gradients_of_an_update_are_right(sam: Sam):
    adapted = Adaptation(Lora(rank=2, blocks="last:1"), decoder=False).apply(sam)
    path = encoder_blocks(sam)[-1]
    wrapper = adapted.module.get_submodule(f"{path}.attn.qkv").double()
    wrapper.requires_grad_()
    x = torch.randn(1, 2, wrapper.base.in_features, dtype=torch.float64, requires_grad=True)
    torch.nn.init.normal_(wrapper.updates["v"].b)
    assert torch.autograd.gradcheck(wrapper, (x,))


@pytest.mark.parametrize("targets", [("q", "v"), ("q", "k", "v", "proj", "mlp", "decoder")])
def test_a_folded_model_answers_as_the_adapter_does_and_has_none(targets, sam, pixels):
    adapted = Adaptation(Lora(targets=targets, alpha=16), decoder=False).apply(sam)
    with torch.no_grad():
        for value in adapted.parameters().values():
            value.normal_(std=0.2)
        expected = answer(adapted, pixels)
        plain = folded(adapted.module)
        found = answer(replace(adapted, module=plain), pixels)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(part, LoraLinear) for part in plain.modules())
    assert any(isinstance(part, LoraLinear) for part in adapted.module.modules())
    own = plain.prompt_encoder.no_mask_embed.weight
    assert own.data_ptr() == sam.prompt_encoder.no_mask_embed.weight.data_ptr()


def test_what_cannot_be_merged_is_kept_and_without_an_adapter_nothing_is_copied(sam):
    module = Adaptation(Bottleneck()).apply(sam).module
    assert folded(module) is module
    assert folded(sam) is sam
