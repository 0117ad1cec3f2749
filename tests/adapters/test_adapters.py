"""Every method, on both encoders: the identity at first, and only what is listed changes."""

import copy
from dataclasses import dataclass

import pytest
import torch
from adapted import answer, toy, train
from torch import nn
from torch.nn import functional

from samphire.adapters import METHODS, Adaptation, Plan, merged_tensors
from samphire.adapters.adaptation import make_method
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.adapters.sites import encoder_blocks, first_trained, qkv_rows
from samphire.errors import AdapterError
from samphire.model.sam import Sam

EVERY = [
    Lora(),
    Lora(targets=("q", "k", "v", "proj", "mlp"), blocks="last:1", rank_stabilised=True),
    Bottleneck(),
    Bottleneck(blocks="last:1"),
    Partial(),
    Partial(parts=("attention", "neck"), blocks="last:1"),
    Partial(parts=("full",), layer_decay=0.5),
    Decoder(),
]


@pytest.mark.parametrize("method", EVERY, ids=repr)
def test_an_untrained_adapter_answers_bit_for_bit_as_the_base(method, sam, pixels):
    plain = Adaptation(Decoder()).apply(sam)
    with torch.no_grad():
        for expected, found in zip(
            answer(plain, pixels), answer(Adaptation(method).apply(sam), pixels), strict=True
        ):
            assert torch.equal(expected, found)


@pytest.mark.slow
@pytest.mark.parametrize("method", EVERY, ids=repr)
def test_training_changes_what_is_listed_and_nothing_of_the_base(method, sam, pixels):
    before = {name: value.clone() for name, value in sam.state_dict().items()}
    adapted = Adaptation(method, classes=("a", "b")).apply(sam)
    listed = adapted.tensors()
    shared = {
        name: value.clone()
        for name, value in adapted.module.state_dict().items()
        if name not in listed
    }
    train(adapted, pixels)
    assert all(torch.equal(value, before[name]) for name, value in sam.state_dict().items())
    after = adapted.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in shared.items())
    moved = [name for name, value in adapted.tensors().items() if not value.equal(listed[name])]
    assert len(moved) > 0.9 * len(listed)
    if not isinstance(method, Decoder):
        assert any(name.startswith("image_encoder.") for name in moved)


def test_frozen_weights_are_the_memory_of_the_base(sam):
    adapted = Adaptation(Lora(), decoder=False).apply(sam)
    base = {value.data_ptr() for value in sam.parameters()}
    new = [
        name for name, value in adapted.module.named_parameters() if value.data_ptr() not in base
    ]
    assert sorted(new) == sorted(adapted.parameters())


def test_even_train_mode_moves_no_statistic_of_the_base(sam, pixels):
    before = {name: value.clone() for name, value in sam.named_buffers()}
    adapted = Adaptation(Lora()).apply(sam)
    adapted.module.train()
    adapted.module.encode(pixels)
    assert all(torch.equal(value, before[name]) for name, value in sam.named_buffers())


@pytest.mark.parametrize("method", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_an_adapter_takes_the_precision_of_its_base(dtype, method, sam, pixels):
    base = copy.deepcopy(sam).to(dtype)
    adapted = Adaptation(method, classes=("a",)).apply(base)
    assert {value.dtype for value in adapted.tensors().values()} == {dtype}
    with torch.no_grad():
        assert torch.equal(adapted.module.encode(pixels.to(dtype)), base.encode(pixels.to(dtype)))


@pytest.mark.parametrize("method", EVERY, ids=repr)
def test_in_half_precision_an_untrained_adapter_is_the_identity_too(method, sam, pixels):
    adapted = Adaptation(method).apply(sam)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected, found = sam.encode(pixels), adapted.module.encode(pixels)
    assert expected.dtype == found.dtype
    assert torch.equal(expected, found)


@pytest.mark.slow
@pytest.mark.parametrize("method", [Lora(targets=("q", "v", "proj", "mlp")), Bottleneck()])
def test_a_compiled_adapter_is_one_graph_with_the_same_gradients(method, sam, pixels):
    adapted = Adaptation(method, decoder=False).apply(sam)
    train(adapted, pixels)
    block = adapted.module.get_submodule(encoder_blocks(sam)[-1])
    with torch.no_grad():
        tokens = sam.image_encoder.encode_until(pixels, len(encoder_blocks(sam)) - 1)
    gradients = []
    for run in (block, torch.compile(block, backend="aot_eager", fullgraph=True)):
        adapted.module.zero_grad()
        run(tokens).square().mean().backward()
        gradients.append(
            [value.grad.clone() for value in block.parameters() if value.requires_grad]
        )
    assert gradients[0]
    for plain, compiled in zip(*gradients, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", EVERY, ids=repr)
def test_tensors_bring_a_trained_adapter_back(method, sam, pixels):
    adaptation = Adaptation(method, classes=("a",))
    trained = adaptation.apply(sam)
    train(trained, pixels)
    again = Adaptation.of(adaptation.as_json()).apply(sam)
    again.load(trained.tensors())
    with torch.no_grad():
        for expected, found in zip(answer(trained, pixels), answer(again, pixels), strict=True):
            assert torch.equal(expected, found)


@pytest.mark.slow
def test_two_adapters_on_one_base_do_not_meet(sam, pixels):
    first, second = Adaptation(Lora()).apply(sam), Adaptation(Bottleneck()).apply(sam)
    with torch.no_grad():
        expected = answer(second, pixels)
    train(first, pixels)
    with torch.no_grad():
        assert all(map(torch.equal, expected, answer(second, pixels)))


def test_tensors_of_another_rank_are_refused(sam):
    tensors = Adaptation(Lora(rank=4)).apply(sam).tensors()
    with pytest.raises(AdapterError, match=r"has shape \(4, .*expected \(8,"):
        Adaptation(Lora()).apply(sam).load(tensors)
    tensors.pop(next(iter(tensors)))
    with pytest.raises(AdapterError, match="missing"):
        Adaptation(Lora(rank=4)).apply(sam).load(tensors)


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


@pytest.mark.weights
def test_parameters_are_as_many_as_the_formulas_say(vit_t):
    def count(method):
        found = Adaptation(method).apply(vit_t.module).parameters()
        inside = [value for name, value in found.items() if name.startswith("image_encoder.")]
        return sum(value.numel() for value in inside)

    assert count(Lora(rank=8)) == 7_424 * 8
    widths = [(128, 2), (160, 6), (320, 2)]
    adapter = {width: 2 * (width // 4) * width + width // 4 + width for width, _ in widths}
    assert count(Bottleneck()) == sum(2 * depth * adapter[width] for width, depth in widths)
    decoder = Adaptation(Decoder()).apply(vit_t.module).parameters()
    assert sum(value.numel() for value in decoder.values()) == 4_058_340


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
@pytest.mark.parametrize(
    ("method", "first"),
    [
        (Decoder(), "embedding"),
        (Lora(blocks="last:1"), -1),
        (Partial(parts=("neck",)), 0),
        (Partial(parts=("full",)), "pixels"),
    ],
    ids=repr,
)
def test_the_part_that_stays_is_known_and_can_be_kept(method, first, sam, pixels):
    adapted = Adaptation(method).apply(sam)
    blocks = len(encoder_blocks(sam))
    cut = first_trained(sam, adapted.parameters())
    assert cut == (blocks + first if isinstance(first, int) else first)
    if isinstance(cut, int):
        train(adapted, pixels)
        with torch.no_grad():
            tokens = sam.image_encoder.encode_until(pixels, cut)
            kept = adapted.module.image_encoder.encode_from(tokens, cut)
            assert torch.equal(kept, adapted.module.encode(pixels))
            assert not torch.equal(kept, sam.encode(pixels))


def test_learning_rates_fall_from_block_to_block(sam):
    adapted = Adaptation(Partial(parts=("full",), layer_decay=0.5)).apply(sam)
    rates = adapted.learning_rates
    last = encoder_blocks(sam)[-1]
    assert {rate for name, rate in rates.items() if name.startswith(last)} == {0.5}
    assert {rate for name, rate in rates.items() if ".neck." in name} == {1.0}
    start = 0.5 ** (len(encoder_blocks(sam)) + 1)
    patches = {rate for name, rate in rates.items() if "patch_embed" in name}
    assert patches == {start}


def test_the_way_to_the_next_stage_learns_as_the_block_before_it():
    """As the published TinyViT has it; it is no part of the image's first patches."""
    adapted = Adaptation(Partial(parts=("full",), layer_decay=0.5)).apply(toy("tiny"))
    for stage, last in ((0, 0), (2, 1)):
        rates = [
            {rate for name, rate in adapted.learning_rates.items() if name.startswith(path)}
            for path in (
                f"image_encoder.layers.{stage}.downsample.",
                f"image_encoder.layers.{stage}.blocks.{last}.",
            )
        ]
        assert len(rates[0]) == 1
        assert rates[0] == rates[1]


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


def test_class_maps_start_as_the_first_reading_without_prompts(sam, pixels):
    adapted = Adaptation(Decoder(), classes=("a", "b")).apply(sam)
    with torch.no_grad():
        features = sam.encode(pixels[:1])
        expected, _ = sam.decode(features, None, None, None, multimask_output=False)
        maps = adapted.head(adapted.module, features)
    assert maps.shape == (1, 3, *expected.shape[2:])
    # the tokens see each other, so nearly
    similar = functional.cosine_similarity(maps[0, 1].flatten(), maps[0, 2].flatten(), dim=0)
    assert similar > 0.999


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: Lora(rank=0), "rank 0"),
        (lambda _: Lora(targets=("x",)), "targets"),
        (lambda sam: Lora(blocks="last:99").plan(sam), "last:99"),
        (lambda sam: Lora(blocks="first:1").plan(sam), "first:1"),
        (lambda _: Lora(alpha=float("nan")), "alpha nan"),
        (lambda _: Bottleneck(ratio=0), "ratio"),
        (lambda _: Bottleneck(scale=float("inf")), "scale inf"),
        (lambda _: Partial(parts=()), "parts"),
        (lambda _: Adaptation(Decoder(), decoder=False), "nothing would train"),
        (lambda _: Adaptation(Decoder(), classes=("a", "a")), "differ"),
        (lambda sam: Adaptation(Lora(targets=("decoder",))).apply(sam), "carry an adapter"),
        (lambda _: Adaptation.of({"method": "x"}), "describes no adapter"),
    ],
)
def test_what_makes_no_adapter_is_refused(make, says, sam):
    with pytest.raises(AdapterError, match=says):
        make(sam)


@dataclass(frozen=True)
class Given:
    """A method that is in no table, with a plan from outside."""

    found: Plan

    def plan(self, _: Sam) -> Plan:
        return self.found


class Around(nn.Module):
    """Around a module; merged it is whatever it was given."""

    def __init__(self, merged=None):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))
        self.merged = lambda: merged

    def forward(self, x):
        return self.base(x) + self.shift


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan(own={"image_encoder.nothing": 1.0}), "no such part"),
        (Plan({"image_encoder.nothing": Around()}), "no such part"),
        (Plan({"image_encoder": Around(), "image_encoder.neck": Around()}), "neck lies in"),
        (Plan({"image_encoder.neck": Around()}, {"image_encoder.neck.0.weight": 1.0}), "and carry"),
    ],
)
def test_a_plan_that_fits_no_model_is_refused(plan, says, sam):
    with pytest.raises(AdapterError, match=says):
        Adaptation(Given(plan)).apply(sam)


def test_a_plan_is_used_once(sam):
    adaptation = Adaptation(Given(Plan({"image_encoder.neck": Around()})))
    adaptation.apply(sam)
    with pytest.raises(AdapterError, match="new plan"):
        adaptation.apply(sam)


def test_a_module_without_parameters_can_carry_an_adapter(sam, pixels):
    path = f"{encoder_blocks(sam)[-1]}.attn.probabilities"
    adapted = Adaptation(Given(Plan({path: Around()}))).apply(sam)
    assert f"{path}.shift" in adapted.parameters()
    with torch.no_grad():
        assert torch.equal(adapted.module.encode(pixels), sam.encode(pixels))


def test_a_method_needs_a_name_for_a_file_and_no_name_to_be_applied(sam):
    adaptation = Adaptation(Given(Plan({"image_encoder.neck": Around()})))
    assert "image_encoder.neck.shift" in adaptation.apply(sam).parameters()
    with pytest.raises(AdapterError, match=r"METHODS\[.*\] = Given"):
        adaptation.as_json()
    with pytest.raises(AdapterError, match="METHODS"):
        make_method("given", {})


def test_a_merge_that_would_lose_a_tensor_is_refused(sam):
    """A bias that a plain model has no place for must not vanish."""
    convolution = sam.image_encoder.neck[0]
    assert convolution.bias is None
    channels = (convolution.in_channels, convolution.out_channels)
    adapted = Adaptation(
        Given(Plan({"image_encoder.neck.0": Around(nn.Conv2d(*channels, 1, bias=True))}))
    ).apply(sam)
    with pytest.raises(AdapterError, match=r"neck\.0\.bias"):
        merged_tensors(adapted)


def test_the_table_holds_every_method():
    assert {type(method) for method in EVERY} == set(METHODS.values())


def test_gradients_of_an_update_are_right(sam: Sam):
    adapted = Adaptation(Lora(rank=2, blocks="last:1"), decoder=False).apply(sam)
    path = encoder_blocks(sam)[-1]
    wrapper = adapted.module.get_submodule(f"{path}.attn.qkv").double()
    wrapper.requires_grad_()
    x = torch.randn(1, 2, wrapper.base.in_features, dtype=torch.float64, requires_grad=True)
    torch.nn.init.normal_(wrapper.updates["v"].b)
    assert torch.autograd.gradcheck(wrapper, (x,))
