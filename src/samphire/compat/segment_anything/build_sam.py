"""The builders and their registry: ``sam_model_registry["vit_t"](checkpoint="mobile_sam.pt")``.

A builder gives a model in eval mode, with random weights where no checkpoint is named. Files are
read as Samphire reads all weights: on the CPU, tensors only, and every key has to fit.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from samphire.compat.segment_anything.modeling.sam import Sam, from_samphire
from samphire.errors import CheckpointError
from samphire.model import variants
from samphire.model.sam import Sam as PlainSam
from samphire.weights.published import published_tensors

Checkpoint = str | PathLike[str]


def build_sam_vit_h(checkpoint: Checkpoint | None = None) -> Sam:
    """ViT-Huge, 641 M parameters."""
    return _finished(variants.vit_h(), checkpoint)


build_sam = build_sam_vit_h


def build_sam_vit_l(checkpoint: Checkpoint | None = None) -> Sam:
    """ViT-Large, 312 M parameters."""
    return _finished(variants.vit_l(), checkpoint)


def build_sam_vit_b(checkpoint: Checkpoint | None = None) -> Sam:
    """ViT-Base, 94 M parameters."""
    return _finished(variants.vit_b(), checkpoint)


def build_sam_vit_t(checkpoint: Checkpoint | None = None) -> Sam:
    """MobileSAM's TinyViT, 10 M parameters."""
    return _finished(variants.vit_t(), checkpoint)


sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,
}


def _build_sam(
    encoder_embed_dim: int,
    encoder_depth: int,
    encoder_num_heads: int,
    encoder_global_attn_indexes: Sequence[int],
    checkpoint: Checkpoint | None = None,
) -> Sam:
    """A ViT of any size; not a public name, but other projects call it."""
    model = variants.vit(
        encoder_embed_dim, encoder_depth, encoder_num_heads, encoder_global_attn_indexes
    )
    return _finished(model, checkpoint)


def _finished(model: PlainSam, checkpoint: Checkpoint | None) -> Sam:
    sam = from_samphire(model).eval()
    if checkpoint is not None:
        _fill(sam, Path(checkpoint))
    return sam


def _fill(sam: Sam, path: Path) -> None:
    """Load a file of weights, strictly.

    Raises:
        CheckpointError: the file is no checkpoint, or one of another model.
        OSError: it cannot be read.
    """
    try:
        sam.load_state_dict(published_tensors(path))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of this model (vit_h, vit_l, vit_b and vit_t each have "
            f"their own): {error}"
        ) from error
