"""The fast mask decoder against the plain one."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conftest import random_weights
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import samphire
from samphire.errors import EngineUnavailableError, ShapeError
from samphire.fast import two_way, upscaling
from samphire.fast.mask_decoder import compile_decoder, reasons
from samphire.model.mask_decoder import MaskDecoder
from samphire.model.two_way_transformer import TwoWayTransformer

CHANNELS = 32


def plain_decoder(*, depth=2, heads=4, seed=0, dtype=torch.float32):
    transformer = TwoWayTransformer(depth, CHANNELS, heads, 48)
    decoder = MaskDecoder(transformer_dim=CHANNELS, transformer=transformer, iou_head_hidden_dim=24)
    random_weights(decoder, seed)
    with torch.no_grad():  # sharp attention and large biases: a lost term shows
        for name, value in decoder.named_parameters():
            value.mul_(3 if name.endswith(("q_proj.weight", "bias")) else 1)
    return decoder.eval().to(dtype)


def inputs(decoder, *, side, tokens, objects, seed=0):
    draw = torch.Generator().manual_seed(seed)
    shapes = {
        "features": (1, CHANNELS, side, side),
        "image_pe": (1, CHANNELS, side, side),
        "no_mask": (CHANNELS,),
        "sparse": (objects, tokens, CHANNELS),
        "dense": (objects, CHANNELS, side, side),
    }
    dtype = next(decoder.parameters()).dtype
    return {name: torch.randn(shape, generator=draw).to(dtype) for name, shape in shapes.items()}


def both(decoder, given, *, multimask, minimum=None, dense=None):
    """What the plain decoder gives, in the fast one's form; and what the fast one gives."""
    no_mask = given["no_mask"][:, None, None].expand_as(given["dense"])
    with torch.no_grad():
        logits, scores = decoder(
            given["features"],
            given["image_pe"],
            given["sparse"],
            no_mask if dense is None else dense,
            multimask,
        )
    chosen = torch.ones_like(scores, dtype=torch.bool) if minimum is None else scores > minimum
    fast = compile_decoder(decoder)
    image = fast.share(given["features"], given["image_pe"], given["no_mask"])
    found = fast.decode(
        image, given["sparse"], dense, multimask=multimask, min_predicted_iou=minimum
    )
    return (logits[chosen], chosen.nonzero(), scores), found


def close(found, expected, within):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=within, rtol=within)


@pytest.mark.slow
@given(
    side=st.integers(4, 9),
    tokens=st.integers(0, 6),
    objects=st.integers(1, 9),
    multimask=st.booleans(),
    seed=st.integers(0, 3),
)
def test_it_is_the_plain_decoder_on_random_shapes(side, tokens, objects, multimask, seed):
    decoder = plain_decoder(seed=seed)
    values = inputs(decoder, side=side, tokens=tokens, objects=objects, seed=seed)
    expected, found = both(decoder, values, multimask=multimask)
    close(found, expected, 5e-5)


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize(("side", "tokens", "objects"), [(4, 0, 1), (5, 3, 1), (6, 1, 9)])
def test_it_is_the_plain_decoder(side, tokens, objects, multimask):
    decoder = plain_decoder()
    values = inputs(decoder, side=side, tokens=tokens, objects=objects)
    expected, found = both(decoder, values, multimask=multimask)
    close(found, expected, 5e-5)


@pytest.mark.parametrize("objects", [1, 3])  # one is worked on in halves
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("heads", [1, 4])
def test_the_algebra_is_exact(monkeypatch, depth, heads, objects):
    monkeypatch.setattr(two_way, "TILE", 40)  # several tiles, of which the last is smaller
    monkeypatch.setattr(upscaling, "TILE", 18)
    decoder = plain_decoder(depth=depth, heads=heads, dtype=torch.float64)
    for side in (6, 7):
        values = inputs(decoder, side=side, tokens=2, objects=objects)
        expected, found = both(decoder, values, multimask=True)
        close(found, expected, 1e-12)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("multimask", [False, True])
def test_a_minimum_keeps_what_is_strictly_above_it(dense, multimask):
    decoder = plain_decoder()
    values = inputs(decoder, side=5, tokens=2, objects=7)
    dense = values["dense"] if dense else None
    (_, _, scores), _ = both(decoder, values, multimask=multimask, dense=dense)
    ordered = scores.flatten().sort().values
    middle = ordered[len(ordered) // 2 - 1 :][:2].mean().item()
    for minimum in (middle, scores.max().item() + 1, -100.0):
        expected, found = both(decoder, values, multimask=multimask, minimum=minimum, dense=dense)
        close(found, expected, 5e-5)
    image, fast = shared(decoder, values)
    (_, kept, scores) = fast.decode(image, values["sparse"], dense, multimask=multimask)
    lowest = scores.min().item()
    (_, fewer, _) = fast.decode(
        image, values["sparse"], dense, multimask=multimask, min_predicted_iou=lowest
    )
    assert len(fewer) == len(kept) - 1


def shared(decoder, values):
    fast = compile_decoder(decoder)
    return fast.share(values["features"], values["image_pe"], values["no_mask"]), fast


@pytest.mark.parametrize("multimask", [False, True])
def test_mask_prompts_change_the_image_of_each_object(multimask):
    decoder = plain_decoder()
    values = inputs(decoder, side=6, tokens=1, objects=5)
    expected, found = both(decoder, values, multimask=multimask, dense=values["dense"])
    close(found, expected, 5e-5)


def test_no_objects_give_no_masks():
    decoder = plain_decoder()
    values = inputs(decoder, side=4, tokens=1, objects=1)
    image, fast = shared(decoder, values)
    logits, kept, scores = fast.decode(image, values["sparse"][:0], None, multimask=True)
    assert (logits.shape, kept.shape, scores.shape) == ((0, 16, 16), (0, 2), (0, 3))


def test_answers_are_fresh_and_an_image_serves_many_calls():
    decoder = plain_decoder()
    values = inputs(decoder, side=5, tokens=2, objects=6)
    image, fast = shared(decoder, values)
    first = fast.decode(image, values["sparse"], None, multimask=True)
    copies = [part.clone() for part in first]
    other = fast.decode(image, values["sparse"].flip(0), None, multimask=True)
    close(first, copies, 0)
    again = fast.decode(image, values["sparse"], None, multimask=True)
    close(again, copies, 0)
    torch.testing.assert_close(other[2].flip(0), first[2])


@pytest.mark.slow
def test_threads_do_not_disturb_each_other():
    decoder = plain_decoder()
    values = inputs(decoder, side=8, tokens=2, objects=9)
    image, fast = shared(decoder, values)

    def decode(multimask):
        return fast.decode(image, values["sparse"], None, multimask=multimask)

    alone = {multimask: decode(multimask) for multimask in (True, False)}
    asked = [True, False] * 12
    with ThreadPoolExecutor(4) as pool:
        for multimask, found in zip(asked, pool.map(decode, asked), strict=True):
            close(found, alone[multimask], 1e-5)


def test_it_keeps_the_weights_it_was_compiled_from():
    decoder = plain_decoder()
    values = inputs(decoder, side=4, tokens=2, objects=2)
    expected, _ = both(decoder, values, multimask=True)
    image, fast = shared(decoder, values)
    random_weights(decoder, seed=9)
    close(fast.decode(image, values["sparse"], None, multimask=True), expected, 5e-5)
    dense = values["no_mask"][:, None, None].expand_as(values["dense"])
    close(fast.decode(image, values["sparse"], dense, multimask=True), expected, 5e-5)


def test_the_published_decoder_has_nothing_against_it(tiny_sam):
    assert reasons(tiny_sam.mask_decoder) == []
    assert reasons(plain_decoder()) == []


class Louder(nn.Linear):
    """A subclass, which may compute anything."""


def _wrap(decoder):
    attention = decoder.transformer.layers[1].cross_attn_image_to_token
    attention.v_proj = Louder(CHANNELS, CHANNELS // 2)


def _hook(decoder):
    attention = decoder.transformer.final_attn_token_to_image
    attention.probabilities.register_forward_hook(lambda *_: None)


def _tanh(decoder):
    decoder.output_upscaling[4] = nn.GELU("tanh")


def _relu(decoder):
    decoder.output_upscaling[2] = nn.ReLU()


def _stride(decoder):
    decoder.output_upscaling[3] = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)


def _bias(decoder):
    decoder.transformer.layers[0].self_attn.q_proj = nn.Linear(CHANNELS, CHANNELS, bias=False)


def _half(decoder):
    decoder.bfloat16()


def _layers(decoder):
    del decoder.transformer.layers[:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_wrap, "transformer.layers.1.cross_attn_image_to_token.v_proj is a Louder"),
        (_hook, "transformer.final_attn_token_to_image.probabilities has a hook"),
        (_tanh, "a GELU of output_upscaling is approximate"),
        (_relu, "output_upscaling has other layers than the published ones"),
        (_stride, "3 of output_upscaling is not a 2x2 convolution with stride 2 and a bias"),
        (_bias, "layers.0.self_attn.q_proj has no bias"),
        (_half, "the weights are not float32 on the CPU"),
        (_layers, "the transformer has no layers"),
    ],
)
def test_what_it_does_not_understand_stays_on_the_plain_path(change, words):
    decoder = plain_decoder()
    change(decoder)
    assert reasons(decoder) == [words]
    with pytest.raises(EngineUnavailableError, match="no fast path for this mask decoder"):
        compile_decoder(decoder)


def test_another_module_is_no_decoder():
    assert reasons(nn.Linear(2, 2)) == ["the module is a Linear, not a MaskDecoder"]


@pytest.mark.parametrize("part", ["features", "image_pe", "no_mask", "sparse", "dense"])
def test_wrong_shapes_are_refused(part):
    decoder = plain_decoder()
    values = inputs(decoder, side=4, tokens=2, objects=2)
    values[part] = values[part][..., 1:]

    def decode():
        image, fast = shared(decoder, values)
        fast.decode(image, values["sparse"], values["dense"], multimask=True)

    with pytest.raises(ShapeError, match=part):
        decode()


@pytest.mark.weights
@pytest.mark.parametrize("multimask", [False, True])
def test_masks_of_a_photo_are_the_plain_ones(vit_t, data, multimask):
    embedding = samphire.embed(vit_t, data / "photos" / "truck.jpg")
    sam, features = vit_t.module, torch.tensor(embedding.features)
    clicks = torch.rand(9, 2, 2, generator=torch.Generator().manual_seed(0)) * 680
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder((clicks, torch.ones(9, 2)), None, None)
        position = sam.prompt_encoder.get_dense_pe()
        logits, scores = sam.mask_decoder(features, position, sparse, dense, multimask)
    fast = compile_decoder(sam.mask_decoder)
    image = fast.share(features, position, sam.prompt_encoder.no_mask_embed.weight[0].detach())
    found, kept, found_scores = fast.decode(image, sparse, None, multimask=multimask)
    logits = logits.flatten(0, 1)
    # float32 rounds in another order: relative to the largest logits, which lie far from any edge
    differences = (found - logits).abs().amax((1, 2)) / logits.abs().amax((1, 2)).clamp(min=20)
    assert differences.max() < 1e-5
    torch.testing.assert_close(found_scores, scores, atol=1e-5, rtol=0)
    flipped = (found > 0) != (logits > 0)
    assert (logits[flipped].abs() < 1e-4).all()
    assert len(kept) == len(logits)
