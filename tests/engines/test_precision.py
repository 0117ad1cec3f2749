"""Half precision in the image encoder: what comes out is float32, finite and nearly the same."""

import copy
import json

import numpy as np
import pytest
import torch

import samphire
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import EngineUnavailableError
from samphire.images.read import read_image

HALVES = {"bfloat16": 2**-7, "float16": 2**-10}  # with the distance of 1 to the next number
PHOTOS = ["dogs", "room", "two_dogs_window", "fig_in_bowl"]


def engine(sam, dtype) -> TorchEngine:
    return TorchEngine(sam, model="tiny", preprocessing="sam-64", dtype=dtype)


def on_this_cpu(dtype: str) -> None:
    """Skip where torch has no kernels for it."""
    half = getattr(torch, dtype)
    try:
        with torch.inference_mode(), torch.autocast("cpu", half):
            torch.nn.Conv2d(3, 8, 3)(torch.zeros(1, 3, 8, 8)) @ torch.zeros(6, 6)
    except RuntimeError as error:
        pytest.skip(f"no {dtype} kernels on this CPU: {error}")


@pytest.mark.parametrize("dtype", HALVES)
def test_the_encoder_computes_in_half_and_gives_float32(tiny_sam, tiny_engine, rng, dtype):
    on_this_cpu(dtype)
    half = engine(tiny_sam, dtype)
    seen = []
    convolution = tiny_sam.image_encoder.patch_embed.seq[0].c
    hook = convolution.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    pixels = rng.standard_normal((1, 3, 64, 64)).astype(np.float32)
    features = half.encode(pixels)
    hook.remove()
    assert seen == [getattr(torch, dtype)]
    assert features.dtype == np.float32
    exact = tiny_engine.encode(pixels)
    assert 0 < np.abs(features - exact).mean() < 4 * HALVES[dtype] * np.abs(exact).mean()


@pytest.mark.parametrize("dtype", HALVES)
def test_the_weights_and_the_decoder_stay_in_float32(tiny_sam, tiny_engine, rng, dtype):
    half = engine(tiny_sam, dtype)
    assert {value.dtype for value in half.module.parameters()} == {torch.float32}
    embedding = samphire.embed(tiny_engine, rng.integers(0, 256, (40, 64, 3), np.uint8))
    found, expected = (
        samphire.decode(each, embedding, points=[(20, 20)]) for each in (half, tiny_engine)
    )
    assert found.equal(expected)


@pytest.mark.parametrize("dtype", ["float32", *HALVES])
def test_the_engine_says_what_it_computes_in(tiny_sam, dtype):
    info = engine(tiny_sam, dtype).info
    assert info.dtype == dtype
    assert str(info).endswith(f"{dtype})")


@pytest.mark.parametrize("dtype", ["float64", "half", "", "int8"])
def test_another_dtype_is_refused_with_the_three_that_are_offered(tiny_sam, dtype):
    expected = f"dtype '{dtype}': expected one of float32, bfloat16, float16"
    with pytest.raises(EngineUnavailableError, match=expected):
        engine(tiny_sam, dtype)


def test_an_embedding_serves_every_precision(tiny_sam, tiny_engine, rng):
    image = rng.integers(0, 256, (40, 64, 3), np.uint8)
    half = engine(tiny_sam, "bfloat16")
    embedding = samphire.embed(half, image)
    assert embedding.key == samphire.embed(tiny_engine, image).key
    assert "bfloat16" in embedding.made_by
    assert len(samphire.segment(tiny_engine, embedding, points=[(20, 20)])) == 1


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_positions_stay_in_float32_under_autocast(tiny_sam, half):
    points = (torch.tensor([[[5.25, 60.5]]]), torch.tensor([[1]]))
    with torch.inference_mode():
        exact = (
            tiny_sam.prompt_encoder(points, None, None)[0],
            tiny_sam.prompt_encoder.get_dense_pe(),
        )
        with torch.autocast("cpu", half):
            found = (
                tiny_sam.prompt_encoder(points, None, None)[0],
                tiny_sam.prompt_encoder.get_dense_pe(),
            )
    for left, right in zip(found, exact, strict=True):
        assert torch.equal(left, right)


def recorded_prompts(golden, photo) -> list[dict]:
    """The golden prompts of a photo as arguments of segment, but for the one that refines."""
    facts = json.loads((golden / "vit_t_prompts.json").read_text())["photos"][photo]
    arguments = []
    for name, recorded in facts["prompts"].items():
        prompt = recorded["prompt"]
        if name == "mask_refine":
            continue
        given = {}
        if "points" in prompt:
            given["points"] = [point[:2] for point in prompt["points"]]
            given["labels"] = [point[2] for point in prompt["points"]]
        if "box" in prompt or "boxes" in prompt:
            given["boxes"] = prompt.get("box") or prompt["boxes"]
        arguments.append(given)
    return arguments


def masks_of(engine, image, prompts) -> np.ndarray:
    """(N, H, W): all four tokens of every prompt."""
    embedding = samphire.embed(engine, image)
    answers = [
        samphire.segment(engine, embedding, **prompt, multimask=multimask).to_array()
        for prompt in prompts
        for multimask in (False, True)
    ]
    return np.concatenate(answers)


# bfloat16 everywhere; float16 where it is quick enough to be of use
DEVICES = [("cpu", "bfloat16"), ("cuda", "bfloat16"), ("cuda", "float16")]


@pytest.mark.weights
@pytest.mark.parametrize(("device", "dtype"), DEVICES)
def test_masks_of_the_real_model_hardly_change(data, golden, vit_t, device, dtype):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device: float16 convolutions take minutes on a CPU")
    half = TorchEngine(copy.deepcopy(vit_t.module), device=device, dtype=dtype)
    ious = []
    for photo in PHOTOS:
        image = read_image(data / "photos" / f"{photo}.jpg")
        prompts = recorded_prompts(golden, photo)
        exact, found = (masks_of(engine, image, prompts) for engine in (vit_t, half))
        common, either = ((exact & found).sum((1, 2)), (exact | found).sum((1, 2)))
        ious.extend(common / either)
    assert len(ious) == 4 * 8 * len(PHOTOS)
    assert np.median(ious) >= 0.99
