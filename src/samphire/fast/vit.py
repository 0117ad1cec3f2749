"""The ViT encoder of SAM sooner: the sibling of ``model/image_encoder.py``, compiled from it.

    compile_vit(encoder)(pixels (B, 3, S, S)) -> (B, out_chans, G, G), as the encoder itself

For float32 on a CPU, without gradients. Everything else is left to the plain encoder; a part that
somebody put in or hooked into, to the plain module of that part, while the others stay fast.

Measured on ViT-B, random weights, 1024 pixels, two cores: 5.5 s where the plain encoder takes 15.3
(2.8 times as fast; 1.4 where the allocator is told to keep freed memory), at 87 % of the rate of
the best matrix product there. The largest difference is 1.2e-5 of the output's root mean square,
the usual one 1.4e-6. A process that loads the model and encodes one picture peaks at 1.3 GB
instead of 3.4, though the packed weights are a second copy, 0.35 GB; a workspace is 84 MB.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from samphire.fast.recognise import oddities
from samphire.fast.vit_block import FastBlock, why_plain
from samphire.fast.vit_ends import FastNeck, FastPatches, why_plain_neck, why_plain_patches
from samphire.fast.workspace import Pool, Workspace
from samphire.model.image_encoder import Block, ImageEncoderViT, check_side, resize_absolute

Part = Callable[[torch.Tensor], torch.Tensor]

WHOLE, PATCHES, NECK = "the encoder", "patches", "neck"


@dataclass(frozen=True, eq=False)
class FastViT:
    """An encoder, compiled by :func:`compile_vit`; threads may share it.

    Attributes:
        encoder: the plain one.
        plain_blocks: what is left to plain modules and why, in words; empty if nothing is.
        whole: the encoder stands for itself, as a whole.
        patches: (1, 3, S, S) -> (1, G, G, C).
        positions: the table of absolute positions (1, G, G, C); None if there is none.
        blocks: compiled, or plain.
        neck: (1, C, G, G) -> (1, out_chans, G, G).
        pool: memory for calls.
    """

    encoder: ImageEncoderViT
    plain_blocks: tuple[str, ...]
    whole: bool
    patches: Part
    positions: torch.Tensor | None
    blocks: tuple[FastBlock | nn.Module, ...]
    neck: Part
    pool: Pool = field(default_factory=Pool)

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, S, S), normalised and padded -> embedding (B, out_chans, G, G).

        Pictures are encoded one after the other: each is work enough for all cores.

        Raises:
            ShapeError: the pixels are not a square of a multiple of ``patch_size``.
        """
        if self.whole or not _is_usual(pixels) or torch.is_autocast_enabled("cpu"):
            embedding: torch.Tensor = self.encoder(pixels)
            return embedding
        check_side(pixels, self.encoder.patch_size)
        with self.pool.borrow() as workspace:
            return torch.cat([self._encode(picture, workspace) for picture in pixels.split(1)])

    def _encode(self, pixels: torch.Tensor, workspace: Workspace) -> torch.Tensor:
        """(1, 3, S, S) -> (1, out_chans, G, G)."""
        patches = self.patches(pixels)
        tokens = workspace.buffer("tokens", *patches.shape)
        if self.positions is None:
            tokens.copy_(patches)
        else:
            side = (tokens.shape[1], tokens.shape[2])
            torch.add(patches, resize_absolute(self.positions, side), out=tokens)
        for block in self.blocks:
            if isinstance(block, FastBlock):
                block(tokens[0].flatten(0, 1), workspace)
            else:  # a hook may keep what it sees, so it sees no workspace
                tokens.copy_(block(tokens.clone()))
        return self.neck(tokens.clone().permute(0, 3, 1, 2))


def compile_vit(encoder: ImageEncoderViT) -> FastViT:
    """A copy of an encoder, laid out for the processor; the encoder itself is only read.

    Weights are copied: what is trained, put in or hooked into afterwards is not seen. Compile
    again then.
    """
    reasons = _reasons(encoder)
    whole = WHOLE in reasons
    positions, grid = encoder.pos_embed, encoder.img_size // encoder.patch_size
    return FastViT(
        encoder=encoder,
        plain_blocks=plain_parts(encoder),
        whole=whole,
        patches=(
            encoder.patch_embed
            if whole or PATCHES in reasons
            else FastPatches(encoder.patch_embed, rows=grid * grid)
        ),
        positions=None if positions is None else positions.detach().clone(),
        blocks=tuple(
            block
            if whole or f"block {index}" in reasons or not isinstance(block, Block)
            else FastBlock(block)
            for index, block in enumerate(encoder.blocks)
        ),
        neck=encoder.neck if whole or NECK in reasons else FastNeck(encoder.neck, grid=grid),
    )


def plain_parts(encoder: ImageEncoderViT) -> tuple[str, ...]:
    """What :func:`compile_vit` leaves to plain modules and why, in words; compiles nothing."""
    return tuple(f"{part}: {', '.join(why)}" for part, why in _reasons(encoder).items())


def _reasons(encoder: ImageEncoderViT) -> dict[str, list[str]]:
    """By part, in order, what keeps it plain; of the whole encoder alone where that is plain."""
    whole = oddities(encoder, {ImageEncoderViT})
    if not all(_is_usual(value) for value in encoder.parameters()):
        whole.append("is not float32 on a CPU, or not all of it")
    if whole:
        return {WHOLE: whole}
    found = {PATCHES: why_plain_patches(encoder.patch_embed)}
    found |= {f"block {index}": why_plain(block) for index, block in enumerate(encoder.blocks)}
    found[NECK] = why_plain_neck(encoder.neck)
    return {part: why for part, why in found.items() if why}


def _is_usual(value: torch.Tensor) -> bool:
    return value.dtype == torch.float32 and value.device.type == "cpu"
