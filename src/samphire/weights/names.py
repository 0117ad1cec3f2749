"""Names of tensors: the published ones, and what other layouts call the same tensors.

Everything inside Samphire has the published names (segment_anything's, MobileSAM's). A file may
wrap them (``{"model": ...}``), put a prefix before all of them (``module.``) or use the layout of
`transformers`. Not for shapes (``recognise.py``) or files (``container.py``); nothing here looks
at a value. Sources: the state dicts of segment_anything and of transformers' ``SamModel``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from samphire.errors import CheckpointError

Value = TypeVar("Value")
Layout = Literal["original", "huggingface"]
LAYOUTS: tuple[Layout, ...] = ("original", "huggingface")

# Where training scripts keep the state dict, beside the optimiser and the epoch.
WRAPPERS = ("state_dict", "model", "model_state_dict", "model_state", "net", "weights")
_DEEPEST = 3
# What wrapping modules put before every name; torch.compile also in the middle.
PREFIXES = ("module.", "model.", "sam.", "sam_model.", "net.")
_COMPILED = "_orig_mod."

# Tensors of some TinyViT files that no model needs: they are computed.
DERIVED = re.compile(r"\.(attention_bias_idxs|ab)$")

# The published name, the one of transformers; # stands for a number, the same on both sides.
_MLP = ((".layers.0.", ".proj_in."), (".layers.1.", ".layers.0."), (".layers.2.", ".proj_out."))
_HYPERNETWORK = "mask_decoder.output_hypernetworks_mlps.#"
_IOU_HEAD = "mask_decoder.iou_prediction_head"
POSITIONS = "shared_image_embedding.positional_embedding"
POSITIONS_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"
POSITION_NAMES = (POSITIONS, POSITIONS_AGAIN)
PAIRS: tuple[tuple[str, str], ...] = (
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.blocks.#.norm#.", "vision_encoder.layers.#.layer_norm#."),
    ("image_encoder.blocks.#.attn.", "vision_encoder.layers.#.attn."),
    ("image_encoder.blocks.#.mlp.", "vision_encoder.layers.#.mlp."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", POSITIONS),
    ("prompt_encoder.point_embeddings.#.", "prompt_encoder.point_embed.#."),
    ("prompt_encoder.not_a_point_embed.", "prompt_encoder.not_a_point_embed."),
    ("prompt_encoder.no_mask_embed.", "prompt_encoder.no_mask_embed."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.iou_token.", "mask_decoder.iou_token."),
    ("mask_decoder.mask_tokens.", "mask_decoder.mask_tokens."),
    (
        "mask_decoder.transformer.layers.#.norm#.",
        "mask_decoder.transformer.layers.#.layer_norm#.",
    ),
    (
        "mask_decoder.transformer.norm_final_attn.",
        "mask_decoder.transformer.layer_norm_final_attn.",
    ),
    *(
        (f"mask_decoder.transformer.{part}.", f"mask_decoder.transformer.{part}.")
        for part in (
            "layers.#.self_attn",
            "layers.#.cross_attn_token_to_image",
            "layers.#.cross_attn_image_to_token",
            "layers.#.mlp",
            "final_attn_token_to_image",
        )
    ),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    *((_HYPERNETWORK + ours, _HYPERNETWORK + theirs) for ours, theirs in _MLP),
    *((_IOU_HEAD + ours, _IOU_HEAD + theirs) for ours, theirs in _MLP),
)


@dataclass(frozen=True, eq=False)
class Unwrapped:
    """A state dict without what a training script put around it.

    Attributes:
        tensors: names -> values.
        removed: what was taken off, in words, for the reader of a message.
    """

    tensors: Mapping[str, Any]
    removed: tuple[str, ...]


def unwrap(tree: Mapping[str, Any]) -> Unwrapped:
    """Take the wrapper, common prefixes and derived tensors off.

    >>> unwrap({"model": {"module.a.weight": 1, "module.b.weight": 2}, "epoch": 3}).removed
    ("the wrapper 'model' (beside it: epoch)", "the prefix 'module.'")

    Raises:
        CheckpointError: there are several state dicts in it.
    """
    removed: list[str] = []
    for _ in range(_DEEPEST):
        inside = [name for name in WRAPPERS if isinstance(tree.get(name), Mapping) and tree[name]]
        if not inside:
            break
        if len(inside) > 1:
            raise CheckpointError(
                f"the file holds several state dicts ({', '.join(inside)}): save the one to use "
                "alone"
            )
        beside = ", ".join(sorted(str(name) for name in tree if name != inside[0])[:5])
        removed.append(f"the wrapper {inside[0]!r}" + (f" (beside it: {beside})" if beside else ""))
        tree = tree[inside[0]]
    tensors = {str(name): value for name, value in tree.items()}
    if any(_COMPILED in name for name in tensors):
        removed.append(f"{_COMPILED!r}, which torch.compile puts into names")
        tensors = {name.replace(_COMPILED, ""): value for name, value in tensors.items()}
    while prefix := _common_prefix(tensors):
        removed.append(f"the prefix {prefix!r}")
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    derived = sorted(name for name in tensors if DERIVED.search(name))
    if derived:
        removed.append(f"{len(derived)} derived tensors ({derived[0]}, ...)")
        tensors = {name: value for name, value in tensors.items() if name not in derived}
    return Unwrapped(tensors, tuple(removed))


def layout_of(names: Iterable[str]) -> Layout:
    """In whose words the names are.

    >>> layout_of(["vision_encoder.pos_embed", "mask_decoder.iou_token.weight"])
    'huggingface'
    """
    theirs = ("vision_encoder.", "shared_image_embedding.", "prompt_encoder.shared_embedding.")
    return "huggingface" if any(name.startswith(theirs) for name in names) else "original"


def to_original(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """From the layout of `transformers` to the published names; other names stay as they are.

    The position matrix, which that layout may hold twice, is taken once; whether the two are equal
    is for the caller, who knows values.
    """
    once = dict(tensors)
    again = once.pop(POSITIONS_AGAIN, None)
    if again is not None:
        once.setdefault(POSITIONS, again)
    return {_renamed(name, _TO_ORIGINAL) or name: value for name, value in once.items()}


def to_hugging_face(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """From the published names to the layout of `transformers`, the position matrix twice.

    Raises:
        CheckpointError: a name has no place there (TinyViT's: `transformers` has no such encoder).
    """
    made: dict[str, Value] = {}
    for name, value in tensors.items():
        theirs = _renamed(name, _TO_HUGGING_FACE)
        if theirs is None:
            raise CheckpointError(
                f"{name} has no place in the layout of transformers' SamModel, whose encoders are "
                "those of vit_b, vit_l and vit_h: expected one of these"
            )
        made[theirs] = value
        if theirs == POSITIONS:
            made[POSITIONS_AGAIN] = value
    return made


Table = tuple[tuple[re.Pattern[str], str], ...]


def _table(pairs: Iterable[tuple[str, str]]) -> Table:
    """Patterns of whole names, and what they become."""
    rows = []
    for before, after in pairs:
        pattern = re.escape(before).replace(r"\#", r"(\d+)")
        becomes = after
        for number in range(1, 1 + after.count("#")):
            becomes = becomes.replace("#", rf"\g<{number}>", 1)
        rows.append((re.compile(f"^{pattern}"), becomes))
    return tuple(rows)


_TO_HUGGING_FACE = _table(PAIRS)
_TO_ORIGINAL = _table((theirs, ours) for ours, theirs in PAIRS)


def _renamed(name: str, table: Table) -> str | None:
    """The name in the other layout; None where it has none."""
    for pattern, becomes in table:
        if pattern.match(name):
            return pattern.sub(becomes, name)
    return None


def _common_prefix(names: Iterable[str]) -> str:
    """The known prefix that every name has, or "" if none."""
    given = list(names)
    for prefix in PREFIXES:
        if given and all(name.startswith(prefix) for name in given):
            return prefix
    return ""
