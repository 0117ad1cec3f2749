"""The `transformers` SamModel with a small random prompt encoder and mask decoder, and its keys."""

import re

import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import SamModel

WIDTH, GRID, SIDE, HEADS, MLP = 32, 8, 128, 2, 64

# Theirs -> the published checkpoint's, in this order.
RENAMES = [
    (r"^prompt_encoder\.shared_embedding\.positional_embedding",
     "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"^prompt_encoder\.point_embed\.", "prompt_encoder.point_embeddings."),
    (r"^prompt_encoder\.mask_embed\.conv1", "prompt_encoder.mask_downscaling.0"),
    (r"^prompt_encoder\.mask_embed\.layer_norm1", "prompt_encoder.mask_downscaling.1"),
    (r"^prompt_encoder\.mask_embed\.conv2", "prompt_encoder.mask_downscaling.3"),
    (r"^prompt_encoder\.mask_embed\.layer_norm2", "prompt_encoder.mask_downscaling.4"),
    (r"^prompt_encoder\.mask_embed\.conv3", "prompt_encoder.mask_downscaling.6"),
    (r"^mask_decoder\.upscale_conv1", "mask_decoder.output_upscaling.0"),
    (r"^mask_decoder\.upscale_layer_norm", "mask_decoder.output_upscaling.1"),
    (r"^mask_decoder\.upscale_conv2", "mask_decoder.output_upscaling.3"),
    (r"layer_norm_final_attn", "norm_final_attn"),
    (r"\.layer_norm([1-4])\.", r".norm\1."),
    # layers.0 of theirs is the middle one: it has to move before proj_in takes its name
    (r"(output_hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.0\.", r"\1.layers.1."),
    (r"(output_hypernetworks_mlps\.\d|iou_prediction_head)\.proj_in\.", r"\1.layers.0."),
    (r"(output_hypernetworks_mlps\.\d|iou_prediction_head)\.proj_out\.", r"\1.layers.2."),
]  # fmt: skip


SMALLEST_ENCODER = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "mlp_dim": 8,
    "global_attn_indexes": [0],
}  # fmt: skip

ENCODER_RENAMES = [
    (r"^vision_encoder\.", ""),
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^layers\.(\d+)\.layer_norm([12])\.", r"blocks.\1.norm\2."),
    (r"^layers\.", "blocks."),
    (r"^neck\.conv1\.", "neck.0."),
    (r"^neck\.layer_norm1\.", "neck.1."),
    (r"^neck\.conv2\.", "neck.2."),
    (r"^neck\.layer_norm2\.", "neck.3."),
]


def small_model(**encoder) -> SamModel:
    """Random weights; the vision encoder is as small as it gets unless asked otherwise."""
    config = SamConfig(
        vision_config=SamVisionConfig(
            output_channels=WIDTH, image_size=SIDE, patch_size=16, num_pos_feats=WIDTH // 2,
            **(SMALLEST_ENCODER | encoder),
        ),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=WIDTH, image_size=SIDE, patch_size=16, mask_input_channels=16
        ),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=WIDTH, mlp_dim=MLP, num_hidden_layers=2, num_attention_heads=HEADS,
            iou_head_hidden_dim=24,
            layer_norm_eps=1e-5,  # the published blocks' own; transformers' default is 1e-6
        ),
    )  # fmt: skip
    return SamModel(config).eval()


def published_names(model: SamModel) -> dict[str, torch.Tensor]:
    """Prompt encoder and mask decoder under the published checkpoint's names."""
    return _renamed(model, ("prompt_encoder.", "mask_decoder."), RENAMES)


def published_encoder_names(model: SamModel) -> dict[str, torch.Tensor]:
    """The vision encoder under the published checkpoint's names, without ``image_encoder.``."""
    return _renamed(model, ("vision_encoder.",), ENCODER_RENAMES)


def _renamed(
    model: SamModel, parts: tuple[str, ...], table: list[tuple[str, str]]
) -> dict[str, torch.Tensor]:
    renamed = {}
    for key, value in model.state_dict().items():
        if key.startswith(parts):
            name = key
            for pattern, replacement in table:
                name = re.sub(pattern, replacement, name)
            renamed[name] = value
    return renamed
