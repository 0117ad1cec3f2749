"""From pixels to masks' logits and scores, equal to `transformers`' SamModel with the same weights.

The parts have their own tests (``test_parity.py``, ``test_image_encoder.py``); here they are wired.
"""

import hugging_face
import pytest
import torch
from conftest import random_weights
from torch import nn
from transformers import SamConfig, SamMaskDecoderConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import SamModel

from samphire.model import variants
from samphire.model.image_encoder import ImageEncoderViT
from samphire.model.mask_decoder import MaskDecoder
from samphire.model.prompt_encoder import PromptEncoder
from samphire.model.sam import Sam
from samphire.model.two_way_transformer import TwoWayTransformer

PROMPTS = [
    (),
    ("points",),
    ("boxes",),
    ("masks",),
    ("points", "boxes"),
    ("points", "masks"),
    ("boxes", "masks"),
    ("points", "boxes", "masks"),
]
OBJECTS = 3


@pytest.fixture(scope="module")
def theirs():
    model = hugging_face.small_model(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, mlp_dim=128, window_size=5,
        global_attn_indexes=[1, 3], use_rel_pos=True,
    )  # fmt: skip
    random_weights(model)
    return model


def published_weights(model: SamModel) -> dict[str, torch.Tensor]:
    encoder = hugging_face.published_encoder_names(model)
    return hugging_face.published_names(model) | {
        f"image_encoder.{name}": value for name, value in encoder.items()
    }


@pytest.fixture(scope="module")
def ours(theirs):
    sam = Sam(
        ImageEncoderViT(
            img_size=128, embed_dim=32, depth=4, num_heads=2, out_chans=32, use_rel_pos=True,
            norm_layer=lambda dim: nn.LayerNorm(dim, eps=1e-6), window_size=5,
            global_attn_indexes=(1, 3),
        ),
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
    )  # fmt: skip
    sam.load_state_dict(published_weights(theirs), strict=True)
    return sam.eval()


def assert_equal(ours: Sam, theirs: SamModel, given: tuple[str, ...], multimask: bool, pixels):
    """The answers to random prompts, the same number for each picture."""
    generator = torch.Generator().manual_seed(7)
    images, side = len(pixels), pixels.shape[-1]
    objects = OBJECTS if "points" in given or "boxes" in given else 1
    points = torch.rand(images, objects, 2, 2, generator=generator) * side
    labels = torch.tensor([1, 0]).expand(images, objects, 2)
    corners = torch.rand(images, objects, 2, generator=generator) * side / 2
    boxes = torch.cat([corners, corners + side / 3], dim=2)
    # theirs takes one mask a picture, for all its objects
    masks = 5 * torch.randn(images, 1, side // 4, side // 4, generator=generator)
    with torch.inference_mode():
        expected = theirs(
            pixel_values=pixels,
            input_points=points if "points" in given else None,
            input_labels=labels if "points" in given else None,
            input_boxes=boxes if "boxes" in given else None,
            input_masks=masks if "masks" in given else None,
            multimask_output=multimask,
        )
        found = [
            ours(
                pixels[image : image + 1],
                (points[image], labels[image]) if "points" in given else None,
                boxes[image] if "boxes" in given else None,
                masks[image].expand(objects, 1, -1, -1) if "masks" in given else None,
                multimask,
            )
            for image in range(images)
        ]
    logits, scores = (torch.stack(parts) for parts in zip(*found, strict=True))
    tolerance = max(1e-5, 1e-5 * float(expected.pred_masks.abs().max()))
    torch.testing.assert_close(logits, expected.pred_masks, atol=tolerance, rtol=0)
    tolerance = max(1e-5, 1e-5 * float(expected.iou_scores.abs().max()))
    torch.testing.assert_close(scores, expected.iou_scores, atol=tolerance, rtol=0)


@pytest.mark.parametrize("given", PROMPTS, ids=lambda given: "+".join(given) or "none")
@pytest.mark.parametrize("multimask", [True, False], ids=["three", "one"])
def test_masks_and_scores_equal_theirs_for_every_combination_of_prompts(
    ours, theirs, given, multimask
):
    pixels = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(8))
    assert_equal(ours, theirs, given, multimask, pixels)


@pytest.mark.weights  # not for its weights, which are random: half a minute for two encoders
def test_a_whole_vit_b_equals_theirs():
    decoder = SamMaskDecoderConfig(layer_norm_eps=1e-5)  # the published blocks' own
    config = SamConfig(vision_config=SamVisionConfig(), mask_decoder_config=decoder)
    theirs = SamModel(config).eval()
    random_weights(theirs)
    tables = [value for name, value in theirs.named_parameters() if "rel_pos" in name]
    assert len(tables) == 24
    assert all(table.any() for table in tables)
    ours = variants.vit_b()
    ours.load_state_dict(published_weights(theirs), strict=True)
    pixels = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(8))
    assert_equal(ours.eval(), theirs, ("points", "boxes", "masks"), True, pixels)
