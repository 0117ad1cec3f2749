"""Every method, on both encoders: the identity at first, and only what is listed changes."""

import copy

import pytest
import torch
from torch.nn import functional

from samphire.adapters import METHODS, Adaptation, merged_tensors
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


def answer(adapted, pixels):
    """Features of two pictures, a box's mask and a class map."""
    features = adapted.module.encode(pixels)
    box = torch.tensor([[5.0, 6.0, 40.0, 30.0]])
    logits, scores = adapted.module.decode(features[:1], None, box, None, multimask_output=True)
    found = [features, logits, scores]
    return [*found, adapted.head(adapted.module, features[:1])] if adapted.head else found


def train(adapted, pixels, steps=2):
    """Steps with weight decay, which moves whatever the optimiser holds."""
    parameters = adapted.parameters()
    for value in parameters.values():
        value.requires_grad_()
    optimiser = torch.optim.AdamW(parameters.values(), lr=0.05, weight_decay=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(part.square().mean() for part in answer(adapted, pixels)).backward()
        optimiser.step()


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
    base = {value.data_ptr() for value in sam.state_dict().values()}
    new = [
        name for name, value in adapted.module.state_dict().items() if value.data_ptr() not in base
    ]
    assert sorted(new) == sorted(adapted.parameters())


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
        (lambda _: Bottleneck(ratio=0), "ratio"),
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
