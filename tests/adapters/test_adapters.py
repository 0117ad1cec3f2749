"""Every method, on both encoders: the identity at first, and only what is listed changes."""

import copy

import pytest
import torch
from adapted import answer, toy, train
from torch.nn import functional

from samphire.adapters import METHODS, Adaptation
from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.adapters.sites import encoder_blocks, first_trained
from samphire.errors import AdapterError

pytestmark = pytest.mark.slow

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


def test_two_adapters_on_one_base_do_not_meet(sam, pixels):
    first, second = Adaptation(Lora()).apply(sam), Adaptation(Bottleneck()).apply(sam)
    with torch.no_grad():
        expected = answer(second, pixels)
    train(first, pixels)
    with torch.no_grad():
        assert all(map(torch.equal, expected, answer(second, pixels)))


@pytest.mark.slow
@pytest.mark.parametrize("method", EVERY, ids=repr)
def test_a_picture_is_answered_the_same_alone_and_in_a_batch(method, sam, pixels):
    """An adapter in a block that looks through windows must not mix pictures."""
    adapted = Adaptation(method).apply(sam)
    train(adapted, pixels)
    with torch.no_grad():
        together = adapted.module.encode(pixels)
        turned = adapted.module.encode(pixels.flip(0)).flip(0)
        alone = torch.cat([adapted.module.encode(each[None]) for each in pixels])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together, turned, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 4])
def test_the_updates_of_a_small_vit_are_as_many_as_their_formula(rank):
    """Two blocks of width 32, q and v: a matrix down and one up, each."""
    found = Adaptation(Lora(rank=rank), decoder=False).apply(toy("vit")).parameters()
    assert sum(value.numel() for value in found.values()) == 2 * 2 * (rank * 32 + 32 * rank)


def test_tensors_of_another_rank_are_refused(sam):
    tensors = Adaptation(Lora(rank=4)).apply(sam).tensors()
    with pytest.raises(AdapterError, match=r"has shape \(4, .*expected \(8,"):
        Adaptation(Lora()).apply(sam).load(tensors)
    tensors.pop(next(iter(tensors)))
    with pytest.raises(AdapterError, match="missing"):
        Adaptation(Lora(rank=4)).apply(sam).load(tensors)


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


def test_the_table_holds_every_method():
    assert {type(method) for method in EVERY} == set(METHODS.values())
