"""Prompt encoder, transformer and mask decoder equal `transformers` and the original code."""

from pathlib import Path

import hugging_face
import numpy as np
import pytest
import torch
from conftest import random_weights

from samphire.model.mask_decoder import MaskDecoder
from samphire.model.prompt_encoder import PromptEncoder
from samphire.model.sam import Sam
from samphire.model.two_way_transformer import TwoWayTransformer

KINDS = {
    "points": ("points",),
    "boxes": ("boxes",),
    "points_boxes": ("points", "boxes"),
    "points_masks": ("points", "masks"),
    "boxes_masks": ("boxes", "masks"),
    "points_boxes_masks": ("points", "boxes", "masks"),
    "masks": ("masks",),
    "none": (),
}


def small_sam() -> Sam:
    """The parts at the sizes of `golden/vit_b_tiny.npz`, without an image encoder."""
    return Sam(
        torch.nn.Identity(),
        PromptEncoder(
            embed_dim=32, image_embedding_size=(8, 8), input_image_size=(128, 128), mask_in_chans=16
        ),
        MaskDecoder(
            transformer_dim=32,
            transformer=TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=2),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=24,
        ),
    ).eval()


@pytest.fixture(scope="module")
def theirs():
    model = hugging_face.small_model()
    random_weights(model)
    shared = model.shared_image_embedding.positional_embedding
    assert shared is model.prompt_encoder.shared_embedding.positional_embedding
    return model


@pytest.fixture(scope="module")
def ours(theirs):
    sam = small_sam()
    sam.load_state_dict(hugging_face.published_names(theirs), strict=True)
    return sam


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multimask", [True, False])
def test_the_parts_equal_transformers_for_every_kind_of_prompt(ours, theirs, kind, multimask):
    generator = torch.Generator().manual_seed(3)
    objects = 1 if kind in ("none",) else 3
    features = torch.randn(1, 32, 8, 8, generator=generator)
    points = torch.rand(objects, 4, 2, generator=generator) * 128
    labels = torch.tensor([[1, 0, 1, -1]] * objects)
    corners = torch.rand(objects, 2, generator=generator) * 60
    boxes = torch.cat([corners, corners + 50], dim=1)
    masks = 5 * torch.randn(objects, 1, 32, 32, generator=generator)
    given = KINDS[kind]

    with torch.no_grad():
        logits, scores = ours.decode(
            features,
            (points, labels) if "points" in given else None,
            boxes if "boxes" in given else None,
            masks if "masks" in given else None,
            multimask,
        )
        # theirs takes one mask an image: our objects are their images, with one prompt each
        expected = theirs(
            image_embeddings=features.repeat(objects, 1, 1, 1),
            input_points=points[:, None] if "points" in given else None,
            input_labels=labels[:, None] if "points" in given else None,
            input_boxes=boxes[:, None] if "boxes" in given else None,
            input_masks=masks if "masks" in given else None,
            multimask_output=multimask,
        )
    tolerance = max(1e-5, 1e-5 * float(expected.pred_masks.abs().max()))
    torch.testing.assert_close(logits, expected.pred_masks[:, 0], atol=tolerance, rtol=0)
    torch.testing.assert_close(scores, expected.iou_scores[:, 0], atol=1e-5, rtol=0)


def test_the_transformer_equals_theirs(ours, theirs):
    generator = torch.Generator().manual_seed(4)
    image, positions = torch.randn(2, 3, 32, 8, 8, generator=generator)
    tokens = torch.randn(3, 7, 32, generator=generator)
    with torch.no_grad():
        queries, keys = ours.mask_decoder.transformer(image, positions, tokens)
        expected = theirs.mask_decoder.transformer(tokens[:, None], image, positions, None)
    torch.testing.assert_close(queries, expected[0][:, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(keys, expected[1][:, 0], atol=1e-5, rtol=0)


def test_the_dense_positions_equal_theirs(ours, theirs):
    with torch.no_grad():
        torch.testing.assert_close(
            ours.prompt_encoder.get_dense_pe(),
            theirs.get_image_wide_positional_embeddings(),
            atol=1e-5,
            rtol=0,
        )


@pytest.fixture(scope="module")
def recorded(golden: Path):
    with np.load(golden / "vit_b_tiny.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@pytest.fixture(scope="module")
def original(recorded):
    prefix = "weights/"
    weights = {key.removeprefix(prefix): recorded[key] for key in recorded if prefix in key}
    sam = small_sam()
    sam.load_state_dict(
        {key: value for key, value in weights.items() if not key.startswith("image_encoder.")},
        strict=True,
    )
    return sam


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_dense_positions_equal_the_original(original, recorded):
    with torch.no_grad():
        close(original.prompt_encoder.get_dense_pe(), recorded["prompt/dense_pe"])


@pytest.mark.parametrize(
    "kind", ["points", "boxes", "points_boxes", "points_masks", "boxes_masks", "none"]
)
def test_every_stage_equals_the_original(original, recorded, kind):
    given = KINDS[kind]
    points = (recorded["prompt/points"], recorded["prompt/labels"])
    features = recorded["encoder/output"][:1]
    decoder = original.mask_decoder
    with torch.no_grad():
        sparse, dense = original.prompt_encoder(
            points if "points" in given else None,
            recorded["prompt/boxes"] if "boxes" in given else None,
            recorded["prompt/masks"] if "masks" in given else None,
        )
        close(sparse, recorded[f"{kind}/sparse"])
        close(dense, recorded[f"{kind}/dense"].expand_as(dense))

        seen = []
        hook = decoder.transformer.register_forward_hook(lambda *call: seen.append(call[2]))
        positions = original.prompt_encoder.get_dense_pe()
        for multimask, name in ((False, "single"), (True, "multi")):
            logits, scores = decoder(features, positions, sparse, dense, multimask)
            close(logits, recorded[f"{kind}/low_{name}"])
            close(scores, recorded[f"{kind}/iou_{name}"])
        hook.remove()
        close(seen[0][0], recorded[f"{kind}/transformer_tokens"])
        close(seen[0][1], recorded[f"{kind}/transformer_keys"])
