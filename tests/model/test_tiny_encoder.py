"""TinyViT: the published layout, and what its parts promise."""

import inspect

import pytest
import torch
from conftest import random_weights

from samphire.errors import ShapeError
from samphire.model import variants
from samphire.model.tiny_attention import Attention, TinyViTBlock
from samphire.model.tiny_convolutions import DropPath
from samphire.model.tiny_encoder import TinyViT


def small(**changes) -> TinyViT:
    settings = {
        "img_size": 64, "num_classes": 1, "embed_dims": (16, 16, 32, 32), "depths": (1, 1, 2, 1),
        "num_heads": (1, 2, 2, 4), "window_sizes": (3, 3, 4, 3), "drop_path_rate": 0.0,
    }  # fmt: skip
    return TinyViT(**(settings | changes))


def test_the_state_dict_has_the_published_entries():
    sam = variants.vit_t()
    entries = sam.state_dict()
    assert len(entries) == 439
    assert sum(p.numel() for p in sam.parameters()) == 10_130_092
    shapes = {key: tuple(value.shape) for key, value in entries.items()}
    published = {
        "image_encoder.patch_embed.seq.0.c.weight": (32, 3, 3, 3),
        "image_encoder.patch_embed.seq.2.bn.running_var": (64,),
        "image_encoder.layers.0.blocks.1.conv3.c.weight": (64, 256, 1, 1),
        "image_encoder.layers.0.downsample.conv2.c.weight": (128, 1, 3, 3),
        "image_encoder.layers.1.blocks.0.attn.attention_biases": (4, 49),
        "image_encoder.layers.2.blocks.5.attn.attention_biases": (5, 196),
        "image_encoder.layers.2.blocks.0.attn.qkv.weight": (480, 160),
        "image_encoder.layers.3.blocks.1.mlp.fc2.weight": (320, 1280),
        "image_encoder.layers.3.blocks.1.mlp.norm.weight": (320,),
        "image_encoder.layers.3.blocks.0.local_conv.bn.num_batches_tracked": (),
        "image_encoder.norm_head.weight": (320,),
        "image_encoder.head.weight": (1000, 320),
        "image_encoder.neck.0.weight": (256, 320, 1, 1),
        "image_encoder.neck.3.bias": (256,),
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 128),
        "prompt_encoder.point_embeddings.3.weight": (1, 256),
        "prompt_encoder.mask_downscaling.6.weight": (256, 16, 1, 1),
        "mask_decoder.transformer.layers.1.cross_attn_image_to_token.v_proj.weight": (128, 256),
        "mask_decoder.output_upscaling.3.weight": (64, 32, 2, 2),
        "mask_decoder.output_hypernetworks_mlps.3.layers.2.weight": (32, 256),
        "mask_decoder.iou_prediction_head.layers.2.weight": (4, 256),
    }
    assert {key: shapes.get(key) for key in published} == published
    assert not [key for key in entries if "attention_bias_idxs" in key]


def test_the_constructor_has_the_published_parameters():
    parameters = inspect.signature(TinyViT).parameters
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [
        "img_size", "in_chans", "num_classes", "embed_dims", "depths", "num_heads", "window_sizes",
        "mlp_ratio", "drop_rate", "drop_path_rate", "use_checkpoint", "mbconv_expand_ratio",
        "local_conv_size", "layer_lr_decay",
    ]  # fmt: skip
    assert (parameters["img_size"].default, parameters["drop_path_rate"].default) == (224, 0.1)


def test_every_parameter_that_matters_gets_a_gradient(tiny_sam):
    sam = variants.tiny()
    random_weights(sam)
    features = sam.encode(torch.randn(1, 3, 64, 64))
    points = (torch.tensor([[[10.0, 20.0], [3.0, 4.0]]]), torch.tensor([[1, 0]]))
    boxes = torch.tensor([[5.0, 5.0, 40.0, 50.0]])
    with_mask = sam.decode(features, points, boxes, torch.randn(1, 1, 16, 16), True)
    without = sam.decode(features, points, None, None, False)
    sum(part.pow(2).sum() for part in (*with_mask, *without)).backward()
    dead = {name for name, value in sam.named_parameters() if value.grad is None}
    assert dead == {f"image_encoder.{n}" for n in ("norm_head.weight", "norm_head.bias",
                                                   "head.weight", "head.bias")}  # fmt: skip
    still = [n for n, v in sam.named_parameters() if v.grad is not None and not v.grad.any()]
    # softmax does not see what all keys of a query share, so these biases have no effect at all
    assert all(name.endswith("k_proj.bias") for name in still)


def test_attention_biases_are_read_in_every_forward():
    attention = Attention(8, 4, 2, attn_ratio=1, resolution=(3, 3)).eval()
    x = torch.randn(1, 9, 8)
    before = attention(x)
    with torch.no_grad():
        attention.attention_biases[:, 1] += 5
    assert not torch.allclose(before, attention(x))


def test_attention_equals_a_loop_over_tokens():
    torch.manual_seed(0)
    heads, dim = 2, 4
    attention = Attention(8, dim, heads, attn_ratio=1, resolution=(2, 3)).eval()
    torch.nn.init.normal_(attention.attention_biases)
    x = torch.randn(1, 6, 8)
    with torch.no_grad():
        rows = attention.qkv(attention.norm(x))[0]
        mixed = torch.zeros(6, heads * dim)
        for head in range(heads):
            q, k, v = rows[:, head * 3 * dim : (head + 1) * 3 * dim].split(dim, dim=1)
            for i in range(6):
                scores = torch.stack([
                    q[i] @ k[j] * dim**-0.5
                    + attention.attention_biases[
                        head, abs(i // 3 - j // 3) * 3 + abs(i % 3 - j % 3)
                    ]
                    for j in range(6)
                ])  # fmt: skip
                mixed[i, head * dim : (head + 1) * dim] = scores.softmax(0) @ v
        torch.testing.assert_close(attention(x)[0], attention.proj(mixed), atol=1e-5, rtol=0)


def test_probabilities_can_be_watched_and_sum_to_one(tiny_sam):
    seen = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
        for name, module in tiny_sam.named_modules()
        if name.endswith(".probabilities")
    ]
    with torch.no_grad():
        points = (torch.tensor([[[10.0, 20.0]]]), torch.tensor([[1]]))
        tiny_sam(torch.randn(1, 3, 64, 64), points, None, None, True)
    for hook in hooks:
        hook.remove()
    assert len(seen) == 4 + 2 * 3 + 1  # TinyViT's blocks; three a decoder block; the final one
    for probabilities in seen.values():
        torch.testing.assert_close(probabilities.sum(-1), torch.ones(probabilities.shape[:-1]))


def test_padding_cells_take_part_in_attention_as_published():
    """Zeros are padded before the attention's LayerNorm, so a padded cell is the norm's bias."""
    torch.manual_seed(0)
    block = TinyViTBlock(8, (2, 2), 2, window_size=3)
    random_weights(block)
    block.eval()
    x = torch.randn(1, 4, 8)
    padded = torch.zeros(1, 9, 8)
    padded[:, [0, 1, 3, 4]] = x
    with torch.no_grad():
        attended = x + block.attn(padded)[:, [0, 1, 3, 4]]
        convolved = block.local_conv(attended.transpose(1, 2).reshape(1, 8, 2, 2))
        tokens = convolved.flatten(2).transpose(1, 2)
        expected = tokens + block.mlp(tokens)
        torch.testing.assert_close(block(x), expected, atol=1e-6, rtol=0)


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = DropPath(0.25)
    x = torch.ones(4000, 2, 3)
    dropped = drop.train()(x)
    per_sample = dropped.flatten(1)
    assert ((per_sample == 0).all(1) | (per_sample == 1 / 0.75).all(1)).all()
    assert abs(float(dropped.mean()) - 1) < 0.05
    assert torch.equal(drop.eval()(x), x)


def test_drop_path_rates_rise_to_the_given_one():
    rates = [m.drop_prob for m in small(drop_path_rate=0.4).modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_checkpointing_changes_memory_and_not_gradients():
    gradients = []
    for use_checkpoint in (False, True):
        encoder = small(use_checkpoint=use_checkpoint)
        random_weights(encoder)
        encoder.eval()  # batch statistics would be updated twice
        calls = []
        encoder.layers[1].blocks[0].mlp.fc1.register_forward_pre_hook(
            lambda *_, calls=calls: calls.append(1)
        )
        encoder(torch.ones(1, 3, 64, 64)).pow(2).sum().backward()
        gradients.append(encoder.patch_embed.seq[0].c.weight.grad)
        assert len(calls) == 1 + use_checkpoint
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 3, 64, 128), (3, 64, 64)])
def test_another_size_is_refused_by_name(tiny_sam, shape):
    with pytest.raises(ShapeError, match="encoder's input has shape"):
        tiny_sam.encode(torch.zeros(shape))


def test_a_batch_of_pictures_equals_each_alone(tiny_sam):
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = tiny_sam.encode(pixels)
        for index in range(3):
            torch.testing.assert_close(
                together[index : index + 1],
                tiny_sam.encode(pixels[index : index + 1]),
                atol=1e-4,
                rtol=1e-4,
            )


@pytest.mark.parametrize("block", range(6))
def test_the_encoder_can_be_cut_before_any_block(tiny_sam, block):
    encoder = tiny_sam.image_encoder
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ran = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in encoder.named_modules()
        if name.split(".")[-2:-1] == ["blocks"]
    ]
    with torch.no_grad():
        whole = encoder(pixels)
        order, ran[:] = list(ran), []
        tokens = encoder.encode_until(pixels, block)
        assert ran == order[:block]
        assert torch.equal(encoder.encode_from(tokens, block), whole)
        assert ran == order
    for hook in hooks:
        hook.remove()
