"""Every published name, where user code imports it from, with its published signature.

The table is frozen: it was written down from the published code (segment-anything at dca509f,
MobileSAM at 34bbbfd), not from ours. Lists and tuples as defaults count as equal.
"""

import inspect
from importlib import import_module

import pytest

VIT = (
    "img_size=1024, patch_size=16, in_chans=3, embed_dim=768, depth=12, num_heads=12, "
    "mlp_ratio=4.0, out_chans=256, qkv_bias=True, norm_layer=LayerNorm, act_layer=GELU, "
    "use_abs_pos=True, use_rel_pos=False, rel_pos_zero_init=True, window_size=0, "
    "global_attn_indexes=()"
)
TINY_VIT = (
    "img_size=224, in_chans=3, num_classes=1000, embed_dims=(96, 192, 384, 768), "
    "depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window_sizes=(7, 7, 14, 7), mlp_ratio=4.0, "
    "drop_rate=0.0, drop_path_rate=0.1, use_checkpoint=False, mbconv_expand_ratio=4.0, "
    "local_conv_size=3, layer_lr_decay=1.0"
)
BLOCK = (
    "dim, num_heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=LayerNorm, act_layer=GELU, "
    "use_rel_pos=False, rel_pos_zero_init=True, window_size=0, input_size=None"
)
GENERATOR = (
    "model, points_per_side=32, points_per_batch=64, pred_iou_thresh=0.88, "
    "stability_score_thresh=0.95, stability_score_offset=1.0, box_nms_thresh=0.7, "
    "crop_n_layers=0, crop_nms_thresh=0.7, crop_overlap_ratio=0.3413333333333333, "
    "crop_n_points_downscale_factor=1, point_grids=None, min_mask_region_area=0, "
    "output_mode='binary_mask'"
)
DECODER_INPUTS = "image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings"
BUILDERS = {
    f"{module}:{name}": "checkpoint=None"
    for module in ("", "build_sam")
    for name in ("build_sam", "build_sam_vit_h", "build_sam_vit_l", "build_sam_vit_b")
}
ORIGINAL = BUILDERS | {
    ":SamPredictor": "sam_model",
    ":SamAutomaticMaskGenerator": GENERATOR,
    "automatic_mask_generator:SamAutomaticMaskGenerator": GENERATOR,
    "build_sam:_build_sam": (
        "encoder_embed_dim, encoder_depth, encoder_num_heads, encoder_global_attn_indexes, "
        "checkpoint=None"
    ),
    "predictor:SamPredictor": "sam_model",
    "predictor:SamPredictor.set_image": "self, image, image_format='RGB'",
    "predictor:SamPredictor.set_torch_image": "self, transformed_image, original_image_size",
    "predictor:SamPredictor.predict": (
        "self, point_coords=None, point_labels=None, box=None, mask_input=None, "
        "multimask_output=True, return_logits=False"
    ),
    "predictor:SamPredictor.predict_torch": (
        "self, point_coords, point_labels, boxes=None, mask_input=None, multimask_output=True, "
        "return_logits=False"
    ),
    "predictor:SamPredictor.get_image_embedding": "self",
    "predictor:SamPredictor.reset_image": "self",
    "modeling:Sam": (
        "image_encoder, prompt_encoder, mask_decoder, pixel_mean=(123.675, 116.28, 103.53), "
        "pixel_std=(58.395, 57.12, 57.375)"
    ),
    "modeling.sam:Sam.forward": "self, batched_input, multimask_output",
    "modeling.sam:Sam.preprocess": "self, x",
    "modeling.sam:Sam.postprocess_masks": "self, masks, input_size, original_size",
    "modeling:ImageEncoderViT": VIT,
    "modeling.image_encoder:ImageEncoderViT": VIT,
    "modeling.image_encoder:ImageEncoderViT.forward": "self, x",
    "modeling.image_encoder:Block": BLOCK,
    "modeling.image_encoder:Block.forward": "self, x",
    "modeling.image_encoder:Attention": (
        "dim, num_heads=8, qkv_bias=True, use_rel_pos=False, rel_pos_zero_init=True, "
        "input_size=None"
    ),
    "modeling.image_encoder:Attention.forward": "self, x",
    "modeling.image_encoder:PatchEmbed": (
        "kernel_size=(16, 16), stride=(16, 16), padding=(0, 0), in_chans=3, embed_dim=768"
    ),
    "modeling.image_encoder:window_partition": "x, window_size",
    "modeling.image_encoder:window_unpartition": "windows, window_size, pad_hw, hw",
    "modeling.image_encoder:get_rel_pos": "q_size, k_size, rel_pos",
    "modeling.image_encoder:add_decomposed_rel_pos": (
        "attn, q, rel_pos_h, rel_pos_w, q_size, k_size"
    ),
    "modeling:PromptEncoder": (
        "embed_dim, image_embedding_size, input_image_size, mask_in_chans, activation=GELU"
    ),
    "modeling.prompt_encoder:PromptEncoder.forward": "self, points, boxes, masks",
    "modeling.prompt_encoder:PromptEncoder.get_dense_pe": "self",
    "modeling.prompt_encoder:PositionEmbeddingRandom": "num_pos_feats=64, scale=None",
    "modeling.prompt_encoder:PositionEmbeddingRandom.forward": "self, size",
    "modeling.prompt_encoder:PositionEmbeddingRandom.forward_with_coords": (
        "self, coords_input, image_size"
    ),
    "modeling:MaskDecoder": (
        "*, transformer_dim, transformer, num_multimask_outputs=3, activation=GELU, "
        "iou_head_depth=3, iou_head_hidden_dim=256"
    ),
    "modeling.mask_decoder:MaskDecoder.forward": f"self, {DECODER_INPUTS}, multimask_output",
    "modeling.mask_decoder:MaskDecoder.predict_masks": f"self, {DECODER_INPUTS}",
    "modeling.mask_decoder:MLP": (
        "input_dim, hidden_dim, output_dim, num_layers, sigmoid_output=False"
    ),
    "modeling:TwoWayTransformer": (
        "depth, embedding_dim, num_heads, mlp_dim, activation=ReLU, attention_downsample_rate=2"
    ),
    "modeling.transformer:TwoWayTransformer.forward": (
        "self, image_embedding, image_pe, point_embedding"
    ),
    "modeling.transformer:TwoWayAttentionBlock": (
        "embedding_dim, num_heads, mlp_dim=2048, activation=ReLU, attention_downsample_rate=2, "
        "skip_first_layer_pe=False"
    ),
    "modeling.transformer:TwoWayAttentionBlock.forward": "self, queries, keys, query_pe, key_pe",
    "modeling.transformer:Attention": "embedding_dim, num_heads, downsample_rate=1",
    "modeling.transformer:Attention.forward": "self, q, k, v",
    "modeling.common:MLPBlock": "embedding_dim, mlp_dim, act=GELU",
    "modeling.common:MLPBlock.forward": "self, x",
    "modeling.common:LayerNorm2d": "num_channels, eps=1e-06",
    "modeling.common:LayerNorm2d.forward": "self, x",
    "utils.transforms:ResizeLongestSide": "target_length",
    "utils.transforms:ResizeLongestSide.apply_image": "self, image",
    "utils.transforms:ResizeLongestSide.apply_coords": "self, coords, original_size",
    "utils.transforms:ResizeLongestSide.apply_boxes": "self, boxes, original_size",
    "utils.transforms:ResizeLongestSide.apply_image_torch": "self, image",
    "utils.transforms:ResizeLongestSide.apply_coords_torch": "self, coords, original_size",
    "utils.transforms:ResizeLongestSide.apply_boxes_torch": "self, boxes, original_size",
    "utils.transforms:ResizeLongestSide.get_preprocess_shape": "oldh, oldw, long_side_length",
    "utils.amg:MaskData.filter": "self, keep",
    "utils.amg:MaskData.cat": "self, new_stats",
    "utils.amg:MaskData.items": "self",
    "utils.amg:MaskData.to_numpy": "self",
    "utils.amg:is_box_near_crop_edge": "boxes, crop_box, orig_box, atol=20.0",
    "utils.amg:box_xyxy_to_xywh": "box_xyxy",
    "utils.amg:mask_to_rle_pytorch": "tensor",
    "utils.amg:rle_to_mask": "rle",
    "utils.amg:area_from_rle": "rle",
    "utils.amg:calculate_stability_score": "masks, mask_threshold, threshold_offset",
    "utils.amg:build_point_grid": "n_per_side",
    "utils.amg:build_all_layer_point_grids": "n_per_side, n_layers, scale_per_layer",
    "utils.amg:generate_crop_boxes": "im_size, n_layers, overlap_ratio",
    "utils.amg:uncrop_boxes_xyxy": "boxes, crop_box",
    "utils.amg:uncrop_points": "points, crop_box",
    "utils.amg:uncrop_masks": "masks, crop_box, orig_h, orig_w",
    "utils.amg:remove_small_regions": "mask, area_thresh, mode",
    "utils.amg:coco_encode_rle": "uncompressed_rle",
    "utils.amg:batched_mask_to_box": "masks",
    "automatic_mask_generator:SamAutomaticMaskGenerator.generate": "self, image",
    "utils.onnx:SamOnnxModel": (
        "model, return_single_mask, use_stability_score=False, return_extra_metrics=False"
    ),
    "utils.onnx:SamOnnxModel.forward": (
        "self, image_embeddings, point_coords, point_labels, mask_input, has_mask_input, "
        "orig_im_size"
    ),
    "utils.onnx:SamOnnxModel.mask_postprocessing": "self, masks, orig_im_size",
    "utils.onnx:SamOnnxModel.select_masks": "self, masks, iou_preds, num_points",
    "utils.onnx:SamOnnxModel.resize_longest_image_size": "input_image_size, longest_side",
}
MOBILE_SAM = {
    ":build_sam_vit_t": "checkpoint=None",
    "build_sam:build_sam_vit_t": "checkpoint=None",
    "modeling:TinyViT": TINY_VIT,
    "modeling.tiny_vit_sam:TinyViT": TINY_VIT,
    "modeling.tiny_vit_sam:TinyViT.forward": "self, x",
    "modeling.tiny_vit_sam:TinyViTBlock": (
        "dim, input_resolution, num_heads, window_size=7, mlp_ratio=4.0, drop=0.0, "
        "drop_path=0.0, local_conv_size=3, activation=GELU"
    ),
    "modeling.tiny_vit_sam:Attention": (
        "dim, key_dim, num_heads=8, attn_ratio=4, resolution=(14, 14)"
    ),
    "modeling.tiny_vit_sam:Mlp": (
        "in_features, hidden_features=None, out_features=None, act_layer=GELU, drop=0.0"
    ),
    "modeling.tiny_vit_sam:MBConv": "in_chans, out_chans, expand_ratio, activation, drop_path",
    "modeling.tiny_vit_sam:PatchEmbed": "in_chans, embed_dim, resolution, activation",
    "modeling.tiny_vit_sam:Conv2d_BN": (
        "a, b, ks=1, stride=1, pad=0, dilation=1, groups=1, bn_weight_init=1"
    ),
}


def found(package, place):
    module, _, qualified = place.partition(":")
    value = import_module(f"{package}.{module}".rstrip("."))
    for name in qualified.split("."):
        value = getattr(value, name)
    return value


OURS = {"cell", "classifier"}  # keyword-only, with defaults that build the published module


def written(value):
    parameters, seen_marker = [], False
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name in OURS and parameter.kind is parameter.KEYWORD_ONLY:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not seen_marker:
            parameters.append("*")
            seen_marker = True
        assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        parameters.append(parameter.name + default(parameter.default))
    return ", ".join(parameters)


def default(value):
    if value is inspect.Parameter.empty:
        return ""
    if isinstance(value, type):
        return f"={value.__name__}"
    if isinstance(value, float) and value == int(value):
        return f"={value}"
    return f"={tuple(value) if isinstance(value, list) else value!r}"


@pytest.mark.parametrize("place", ORIGINAL)
def test_segment_anything_has_the_published_signature(installed, place):
    assert written(found("segment_anything", place)) == ORIGINAL[place]


@pytest.mark.parametrize("place", ORIGINAL | MOBILE_SAM)
def test_mobile_sam_has_the_published_signature(installed, place):
    assert written(found("mobile_sam", place)) == (ORIGINAL | MOBILE_SAM)[place]


def test_the_registry_has_the_published_keys(installed):
    from mobile_sam import build_sam, build_sam_vit_h, sam_model_registry

    assert list(sam_model_registry) == ["default", "vit_h", "vit_l", "vit_b", "vit_t"]
    assert sam_model_registry["default"] is sam_model_registry["vit_h"] is build_sam_vit_h
    assert build_sam is build_sam_vit_h


def test_the_package_exports_the_published_seven_names_and_mobile_sams_builder(installed):
    names = {}
    exec("from segment_anything import *", names)  # noqa: S102
    public = {name for name, value in names.items() if not inspect.ismodule(value)}
    assert public - {"__builtins__"} == {
        *("SamAutomaticMaskGenerator", "SamPredictor", "sam_model_registry", "build_sam"),
        *("build_sam_vit_h", "build_sam_vit_l", "build_sam_vit_b", "build_sam_vit_t"),
    }


def test_sam_has_the_published_attributes_and_buffers(sam):
    assert (type(sam).mask_threshold, type(sam).image_format) == (0.0, "RGB")
    assert sam.pixel_mean.shape == sam.pixel_std.shape == (3, 1, 1)
    assert sam.pixel_mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert sam.device == sam.pixel_mean.device
    assert not [name for name in sam.state_dict() if name.startswith("pixel")]
