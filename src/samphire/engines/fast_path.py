"""The fast siblings of a model's parts: which there are, and compiled when first needed.

A folder of embeddings needs no encoder, and ``samphire embed`` no decoder, so neither is laid out
for the processor before it is asked for. What an adapter merged into weights is compiled as a plain
model; what it put into a block keeps that block on the plain path.
"""

import threading
from collections.abc import Callable
from typing import Literal

import torch

from samphire.adapters import folded
from samphire.errors import EngineUnavailableError
from samphire.fast import mask_decoder, tiny_vit, vit, vit_sdpa
from samphire.fast.mask_decoder import FastDecoder
from samphire.model.image_encoder import ImageEncoderViT
from samphire.model.sam import Sam
from samphire.model.tiny_encoder import TinyViT

EnginePath = Literal["auto", "plain", "fast"]
# What is held of tiles, whatever the model: about.
TILES = 64 * 10**6

Encode = Callable[[torch.Tensor], torch.Tensor]


class FastSam:
    """A model, compiled part by part; threads may share it.

    Args:
        module: in eval mode. Compiled with its weights as they are when a part is first needed.

    Attributes:
        plain_parts: what is left to the plain modules and why, in words; empty if nothing is.
    """

    def __init__(self, module: Sam) -> None:
        self._module = folded(module)
        self._lock = threading.Lock()
        self._encode: Encode | None = None
        self._decoder: FastDecoder | None = None
        self._decoder_reasons = mask_decoder.reasons(self._module.mask_decoder)
        self.plain_parts = (
            *(f"image encoder, {reason}" for reason in _encoder_reasons(self._module)),
            *(f"mask decoder: {reason}" for reason in self._decoder_reasons),
        )

    @property
    def encode_bytes(self) -> int:
        """Memory that encoding one picture takes, about: weights laid out anew, and buffers.

        Measured for vit_b (0.45 GB) and vit_t (0.09 GB).
        """
        encoder = self._module.image_encoder
        weights = sum(value.nbytes for value in encoder.parameters())
        grid = self._module.prompt_encoder.image_embedding_size[0]
        if isinstance(encoder, ImageEncoderViT):
            activations = 5 * encoder.patch_embed.proj.out_channels * grid**2
        else:
            activations = 2 * 64 * (4 * grid) ** 2
        return weights + 4 * activations + TILES

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised, padded pixels (B, 3, S, S) -> image embedding (B, C, G, G)."""
        with self._lock:
            if self._encode is None:
                self._encode = _compiled(self._module)
        return self._encode(pixels)

    def decoder(self) -> FastDecoder | None:
        """The decoder; None where it is left to the plain module."""
        if self._decoder_reasons:
            return None
        with self._lock:
            if self._decoder is None:
                self._decoder = mask_decoder.compile_decoder(self._module.mask_decoder)
        return self._decoder


class FusedSam:
    """A model with a ViT on another device than a CPU: its attention fused, its decoder plain.

    Args:
        encoder: of the model; weights are shared with it.

    Attributes:
        encode, encode_bytes, plain_parts: as of :class:`FastSam`.
    """

    def __init__(self, encoder: ImageEncoderViT) -> None:
        self.encode: Encode = vit_sdpa.with_fused_attention(encoder)
        self.plain_parts = tuple(f"image encoder, {why}" for why in vit_sdpa.plain_parts(encoder))
        grid, width = encoder.img_size // encoder.patch_size, encoder.patch_embed.proj.out_channels
        self.encode_bytes = 4 * (2 * vit_sdpa.MOST_BIAS + 8 * grid**2 * width)

    def decoder(self) -> None:
        """Left to the plain module."""


def fast_sam(
    module: Sam, path: EnginePath, device: torch.device, dtype: torch.dtype
) -> FastSam | FusedSam | None:
    """The compiled model that ``path`` asks for, or None: the plain one runs.

    Elsewhere than on a CPU only ``fast`` itself asks for one: it is unmeasured there.

    Raises:
        EngineUnavailableError: ``fast`` is asked for, and a part would stay plain.
    """
    if path not in {"auto", "plain", "fast"}:
        raise EngineUnavailableError(f"path {path!r}: expected auto, plain or fast")
    made: FastSam | FusedSam | None = None
    reasons: tuple[str, ...] = ()
    if path == "plain" or (path == "auto" and device.type != "cpu"):
        return None
    if device.type != "cpu":
        encoder = module.image_encoder
        if isinstance(encoder, ImageEncoderViT):
            made = FusedSam(encoder)
        else:
            reasons = (f"a {type(encoder).__name__} has none on {device}",)
    elif dtype is torch.float32:
        made = FastSam(module)
    else:
        reasons = (f"on a CPU it computes in float32, not in {dtype}",)
    reasons = made.plain_parts if made is not None else reasons
    if path == "fast" and reasons:
        raise EngineUnavailableError(
            f"no fast path: {'; '.join(reasons)} (path='auto' is fast where it can be)"
        )
    return made


def _encoder_reasons(module: Sam) -> tuple[str, ...]:
    encoder = module.image_encoder
    if isinstance(encoder, ImageEncoderViT):
        return vit.plain_parts(encoder)
    if isinstance(encoder, TinyViT):
        return tiny_vit.plain_parts(encoder)
    return (f"which is a {type(encoder).__name__}",)


def _compiled(module: Sam) -> Encode:
    encoder = module.image_encoder
    if isinstance(encoder, ImageEncoderViT):
        return vit.compile_vit(encoder)
    if isinstance(encoder, TinyViT):
        return tiny_vit.compile_tiny_vit(encoder)
    return module.encode
