"""Weights -> files in the layouts that other programs read, bit for bit.

Not for Samphire's own file (``weights_file.py``) nor for graphs (ONNX). Tensors are written as they
are: nothing is rounded, merged or left out.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from samphire import atomic
from samphire.errors import CheckpointError, OutputExistsError
from samphire.images import preprocessing
from samphire.model.image_encoder import Block, ImageEncoderViT
from samphire.weights import names
from samphire.weights.load import Checkpoint, build

_SAFETENSORS = ".safetensors"
SUFFIXES = (".pth", ".pt", _SAFETENSORS)


def write_original(checkpoint: Checkpoint, path: Path) -> None:
    """A plain state dict under the published names, as segment_anything reads it.

    Args:
        checkpoint: what to write.
        path: ``.pth`` or ``.pt`` as torch saves it, or ``.safetensors``.

    Raises:
        CheckpointError: another suffix, or the tensors are not those of a whole model.
        OSError: it cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise CheckpointError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    build(checkpoint.variant, checkpoint.tensors, checkpoint.file)
    with atomic.replacing(path) as temporary, _disk_errors(path):
        if path.suffix == _SAFETENSORS:
            safetensors.torch.save_file(_plain(checkpoint.tensors), temporary)
        else:
            torch.save(_plain(checkpoint.tensors), temporary)


def write_hugging_face(checkpoint: Checkpoint, folder: Path, *, force: bool = False) -> None:
    """A folder that ``SamModel.from_pretrained`` and ``SamProcessor.from_pretrained`` read.

    Args:
        checkpoint: of ``vit_b``, ``vit_l`` or ``vit_h``; MedSAM's is written as the ViT it is.
        folder: made here; one that is there must be empty.
        force: or replace these files in it.

    Raises:
        CheckpointError: `transformers` has no such encoder (TinyViT).
        OutputExistsError: the folder holds something.
        OSError: it cannot be written.
    """
    tensors = _plain(names.to_hugging_face(checkpoint.tensors))
    module = build(checkpoint.variant, checkpoint.tensors, checkpoint.file)
    if folder.exists() and any(folder.iterdir()) and not force:
        raise OutputExistsError(
            f"{folder} holds something: choose a folder that is not there, or --force"
        )
    files = {"config.json": _config(module.image_encoder)}
    if checkpoint.preprocessing.startswith("sam-"):
        files["preprocessor_config.json"] = _processor(checkpoint.preprocessing)
    for name, content in files.items():
        atomic.write_bytes(folder / name, json.dumps(content, indent=2).encode() + b"\n")
    path = folder / "model.safetensors"
    with atomic.replacing(path) as temporary, _disk_errors(path):
        safetensors.torch.save_file(tensors, temporary, {"format": "pt"})


def _plain(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies, each with memory of its own and no more: files hold the memory, not the view."""
    return {
        name: value.clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }


def _config(encoder: nn.Module) -> dict[str, Any]:
    """`transformers`' description of the model; only what differs from its defaults or matters."""
    if not isinstance(encoder, ImageEncoderViT):
        raise CheckpointError(f"a {type(encoder).__name__} has no place in transformers' SamModel")
    blocks = [block for block in encoder.blocks if isinstance(block, Block)]
    width = encoder.patch_embed.proj.out_channels
    sides = {"image_size": encoder.img_size, "patch_size": encoder.patch_size}
    return {
        "architectures": ["SamModel"],
        "model_type": "sam",
        "torch_dtype": "float32",
        "vision_config": sides
        | {
            "hidden_size": width,
            "mlp_dim": 4 * width,
            "num_hidden_layers": len(blocks),
            "num_attention_heads": blocks[0].attn.num_heads,
            "output_channels": 256,
            "window_size": max(block.window_size for block in blocks),
            "global_attn_indexes": [
                index for index, block in enumerate(blocks) if not block.window_size
            ],
        },
        "prompt_encoder_config": sides
        | {"image_embedding_size": encoder.img_size // encoder.patch_size},
        # the published blocks' own; transformers' default is 1e-6
        "mask_decoder_config": {"layer_norm_eps": 1e-5},
    }


def _processor(identifier: str) -> dict[str, Any]:
    """`transformers`' description of the preprocessing."""
    record = preprocessing.preprocessing(identifier)
    return {
        "image_processor_type": "SamImageProcessor",
        "processor_class": "SamProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"longest_edge": record.input_side},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [value / 255 for value in record.mean],
        "image_std": [value / 255 for value in record.std],
        "do_pad": True,
        "pad_size": {"height": record.input_side, "width": record.input_side},
        "mask_size": {"longest_edge": record.low_res_side},
        "mask_pad_size": {"height": record.low_res_side, "width": record.low_res_side},
    }


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """A disk that cannot take the file is an OSError, whatever the library calls it."""
    try:
        yield
    except (RuntimeError, safetensors.SafetensorError) as error:
        said = " ".join(str(error).split())[:200]
        raise OSError(f"{path} cannot be written: {said}") from error
