"""What model a state dict is of, from the names and shapes of its tensors alone.

One answer, or one sentence that says what it is instead. Values are never looked at, so it is quick
for a file of any size. What shapes cannot tell (MedSAM has those of ``vit_b``) is for ``load.py``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from samphire.errors import CheckpointError

Shape = tuple[int, ...]

PATCH = 16  # pixels on a side, of every ViT of the family
_LARGEST_TABLE = 256  # cells on a side: inputs of 4096 pixels
TABLE, _STEM = "image_encoder.pos_embed", "image_encoder.patch_embed.seq.0.c.weight"
_VITS = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}  # channels, blocks
_BLOCK = re.compile(r"image_encoder\.blocks\.(\d+)\.")
_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")

# Relatives and additions: a pattern of names, what has them, what to do.
_RELATIVES = (
    (
        r"(^|\.)(lora_|linear_[ab]_[qv]|w_[AB]s\.)|[Aa]dapter|lora_[AB]",
        "weights with a LoRA or an adapter inside",
        "merge it into the weights where it was trained, and save the plain model",
    ),
    (
        r"^mask_decoder\.(hf_token|hq_token|compress_vit|embedding_encoder|embedding_maskfeature)",
        "SAM-HQ (HQ-SAM), whose decoder has parts that SAM has not",
        "use the plain SAM checkpoint that it was made from",
    ),
    (
        r"^(image_encoder\.trunk\.|memory_|sam_mask_decoder\.|sam_prompt_encoder\.|maskmem_)",
        "SAM 2, another architecture",
        "use a checkpoint of SAM",
    ),
    (
        r"^image_encoder\.(features|fuse)",
        "EdgeSAM or RepViT-SAM, whose image encoder Samphire does not have",
        "use vit_t, which is as small",
    ),
)


@dataclass(frozen=True)
class Architecture:
    """The shape of a model.

    Attributes:
        variant: of ``model/variants.py``; ``vit_b`` for MedSAM too.
        table_side: input side, pixels, that a ViT's position tables are for; None for TinyViT.
    """

    variant: str
    table_side: int | None


def architecture(shapes: Mapping[str, Shape]) -> Architecture:
    """The model with these tensors, by their published names.

    Raises:
        CheckpointError: it is another model, or a part of one; the message starts with a verb, for
            a sentence that begins with the name of the file.

    >>> architecture({"image_encoder.patch_embed.seq.0.c.weight": (32, 3, 3, 3)} | {
    ...     f"{part}.x": (1,) for part in ("prompt_encoder", "mask_decoder")}).variant
    'vit_t'
    """
    for pattern, what, advice in _RELATIVES:
        found = next((name for name in shapes if re.search(pattern, name)), None)
        if found is not None:
            raise CheckpointError(f"holds {what} (by {found}): {advice}")
    missing = [part for part in _PARTS if not any(name.startswith(part) for name in shapes)]
    if missing:
        raise CheckpointError(_not_whole(shapes, missing))
    if TABLE in shapes:
        return _vit(shapes)
    if len(shapes.get(_STEM, ())) == 4:
        return Architecture("vit_t" if shapes[_STEM][2] == 3 else "lite_medsam", None)
    encoder = sorted(name for name in shapes if name.startswith(_PARTS[0]))
    raise CheckpointError(
        f"has an image encoder that is not known here (by {encoder[0]}): expected a ViT "
        f"({TABLE}) or TinyViT ({_STEM})"
    )


def _vit(shapes: Mapping[str, Shape]) -> Architecture:
    table = shapes[TABLE]
    depth = 1 + max((int(found[1]) for name in shapes if (found := _BLOCK.match(name))), default=-1)
    width = table[-1] if table else 0
    square = len(table) == 4 and table[0] == 1 and table[1] == table[2]
    variant = _VITS.get((width, depth))
    if variant is None or not square or not 1 <= table[1] <= _LARGEST_TABLE:
        known = ", ".join(f"{name} {w} and {d}" for (w, d), name in _VITS.items())
        raise CheckpointError(
            f"has a ViT of {width} channels and {depth} blocks with a position table of shape "
            f"{table}: expected one of {known}, and a square table of 1 to {_LARGEST_TABLE} rows"
        )
    return Architecture(variant, PATCH * table[1])


def _not_whole(shapes: Mapping[str, Shape], missing: list[str]) -> str:
    names = sorted(shapes)
    if len(missing) < len(_PARTS):
        return f"lacks {' and '.join(part.rstrip('.') for part in missing)}: expected a whole model"
    if any(name.startswith(("blocks.", "patch_embed.", "layers.")) for name in names):
        return (
            "holds an image encoder alone: expected a whole model, with prompt encoder and decoder"
        )
    shown = ", ".join(names[:3]) or "no tensor"
    return f"holds no SAM ({shown}, ...): expected names that start with {', '.join(_PARTS)}"
