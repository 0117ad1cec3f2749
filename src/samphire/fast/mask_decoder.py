"""Prompt tokens -> masks and scores, sooner: the sibling of ``model/mask_decoder.py``.

The image is projected once for all prompts and never again (``two_way.py``); scores come first, and
only wanted masks are upscaled (``upscaling.py``). Prompts are worked on a few at a time, in memory
that is kept. Mask prompts, which change the image for each object, are left to the plain decoder.
Not for training, and for the CPU only.

Speed and memory: ``docs/reference/speed.md``, "Clicks"; compiling takes hundredths of a second.
Largest deviation on a photo: 3e-4 in logits up to 54, and 3e-6 in predicted IoU; in float64 1e-12
at most. Logits of both are equally far from those that float64 gives.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from samphire.errors import EngineUnavailableError, check_shape
from samphire.fast.recognise import strangers
from samphire.fast.two_way import Shared, TwoWay
from samphire.fast.upscaling import Upscaling, upscaling_strangers
from samphire.fast.workspace import Pool, Workspace
from samphire.model.layer_norm import LayerNorm2d
from samphire.model.mask_decoder import MLP, MaskDecoder
from samphire.model.two_way_transformer import (
    Attention,
    MLPBlock,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)

# Writes the chosen masks (M,) bool of object ``index`` to (K, 4G, 4G).
WriteMasks = Callable[[int, torch.Tensor, torch.Tensor], None]

# Objects at a time: each has 4 MB of image tokens, which the cache should hold.
AT_ONCE = 8

KNOWN = frozenset(
    {MaskDecoder, MLP, TwoWayTransformer, TwoWayAttentionBlock, Attention, MLPBlock, LayerNorm2d}
    | {nn.ModuleList, nn.Sequential, nn.Linear, nn.LayerNorm, nn.Embedding, nn.Identity}
    | {nn.ConvTranspose2d, nn.GELU, nn.ReLU}
)


@dataclass(frozen=True, eq=False)
class SharedImage:
    """An image, ready for any prompts: immutable, to be shared between threads.

    Args:
        features: (1, C, G, G), as given.
        image_pe: (1, C, G, G), as given.
        shared: what objects without a mask prompt share.
    """

    features: torch.Tensor
    image_pe: torch.Tensor
    shared: Shared

    @property
    def nbytes(self) -> int:
        """Memory of it."""
        return self.features.nbytes + self.image_pe.nbytes + self.shared.nbytes


def reasons(decoder: nn.Module) -> list[str]:
    """Why a decoder cannot be compiled, in words; empty if it can."""
    if type(decoder) is not MaskDecoder:
        return [f"the module is a {type(decoder).__name__}, not a MaskDecoder"]
    found = strangers(decoder, KNOWN)
    if found:
        return found
    if type(decoder.transformer) is not TwoWayTransformer:
        return [f"the transformer is a {type(decoder.transformer).__name__}"]
    if not len(decoder.transformer.layers):
        found.append("the transformer has no layers")
    found += [
        f"{name} has no bias"
        for name, part in decoder.transformer.named_modules()
        if isinstance(part, nn.Linear) and part.bias is None
    ]
    kinds = {(part.device.type, part.dtype) for part in decoder.parameters()}
    if len(kinds) > 1 or not kinds <= {("cpu", torch.float32), ("cpu", torch.float64)}:
        found.append("the weights are not float32 on the CPU")
    return found + upscaling_strangers(decoder.output_upscaling)


class FastDecoder:
    """A :class:`~samphire.model.mask_decoder.MaskDecoder`, compiled; see :func:`compile_decoder`.

    Args:
        decoder: for which :func:`reasons` finds none; a copy of it is kept.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        self._plain = copy.deepcopy(decoder).eval().requires_grad_(requires_grad=False)
        self._transformer = TwoWay(cast("TwoWayTransformer", self._plain.transformer))
        self._upscaling = Upscaling(self._plain.output_upscaling)
        self._pool = Pool(self._plain.iou_token.weight.dtype)

    def share(
        self, features: torch.Tensor, image_pe: torch.Tensor, no_mask: torch.Tensor
    ) -> SharedImage:
        """Once an image: what all its prompts share.

        Args:
            features: (1, C, G, G), the image embedding.
            image_pe: (1, C, G, G), position features.
            no_mask: (C,), the dense embedding where there is no mask prompt.

        Raises:
            ShapeError: a part has another shape.
        """
        channels = self._plain.transformer_dim
        check_shape(features, (1, channels, "G", "G"), "features")
        check_shape(image_pe, tuple(features.shape), "image_pe")
        check_shape(no_mask, (channels,), "no_mask")
        with torch.inference_mode():
            rows = features[0].flatten(1).mT + no_mask
            position = image_pe[0].flatten(1).mT
            shared = self._transformer.share(rows.contiguous(), position.contiguous())
        return SharedImage(features, image_pe, shared)

    def decode(
        self,
        image: SharedImage,
        sparse: torch.Tensor,
        dense: torch.Tensor | None,
        *,
        multimask: bool,
        min_predicted_iou: float | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Masks of B objects on one image.

        Args:
            image: from :meth:`share`.
            sparse: (B, T, C), prompt tokens.
            dense: (B, C, G, G), embedded mask prompts; None without: the quick way.
            multimask: True for tokens 1 to 3, False for token 0.
            min_predicted_iou: leave out masks whose predicted IoU is not above it.

        Returns:
            logits (K, 4G, 4G) of the masks that are kept, their prompts and candidates (K, 2)
            int64 in order, and predicted IoU (B, M) of all.

        Raises:
            ShapeError: a part has another shape.
        """
        plain = self._plain
        side = image.features.shape[2]
        check_shape(sparse, ("B", "T", plain.transformer_dim), "sparse")
        if dense is not None:
            check_shape(dense, (len(sparse), plain.transformer_dim, side, side), "dense")
        candidates = range(1, plain.num_mask_tokens) if multimask else range(1)
        scores = sparse.new_empty(len(sparse), len(candidates))
        # Where few masks are kept, the rest of this is never touched, and takes no memory.
        logits = sparse.new_empty(scores.numel(), 4 * side, 4 * side)
        filled = 0
        with torch.inference_mode(), self._pool.borrow() as space:
            for start in range(0, len(sparse), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                if dense is None:
                    scores[part], masks = self._quickly(image, sparse[part], candidates, space)
                else:
                    scores[part], masks = self._plainly(
                        image, sparse[part], dense[part], candidates
                    )
                for index, chosen in enumerate(_wanted(scores[part], min_predicted_iou)):
                    count = int(chosen.sum())
                    if count:
                        masks(index, chosen, logits[filled : filled + count])
                    filled += count
        return logits[:filled], _wanted(scores, min_predicted_iou).nonzero(), scores

    def _quickly(
        self, image: SharedImage, sparse: torch.Tensor, candidates: range, space: Workspace
    ) -> tuple[torch.Tensor, WriteMasks]:
        """Scores (B, M) of a few objects, and a function that writes masks of one."""
        plain = self._plain
        own = torch.cat([plain.iou_token.weight, plain.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
        asked = [0, *(1 + candidate for candidate in candidates)]
        tokens, embedded = self._transformer.run(image.shared, tokens, asked, space)
        classifiers = torch.stack(
            [
                plain.output_hypernetworks_mlps[candidate](tokens[:, 1 + index])
                for index, candidate in enumerate(candidates)
            ],
            dim=1,
        )  # (B, M, C / 8)

        def write(index: int, chosen: torch.Tensor, out: torch.Tensor) -> None:
            side = image.features.shape[2]
            self._upscaling.masks(embedded[index], side, classifiers[index, chosen], out)

        return plain.iou_prediction_head(tokens[:, 0])[:, candidates], write

    def _plainly(
        self, image: SharedImage, sparse: torch.Tensor, dense: torch.Tensor, candidates: range
    ) -> tuple[torch.Tensor, WriteMasks]:
        """The same of objects with mask prompts."""
        masks, scores = self._plain.predict_masks(image.features, image.image_pe, sparse, dense)
        masks = masks[:, candidates]

        def write(index: int, chosen: torch.Tensor, out: torch.Tensor) -> None:
            out[:] = masks[index, chosen]

        return scores[:, candidates], write


def compile_decoder(decoder: MaskDecoder) -> FastDecoder:
    """The fast sibling of a decoder, with its weights as they are now.

    Raises:
        EngineUnavailableError: it is not the published decoder; see :func:`reasons`.
    """
    found = reasons(decoder)
    if found:
        raise EngineUnavailableError(
            f"no fast path for this mask decoder: {'; '.join(found)} (use the plain path)"
        )
    return FastDecoder(decoder)


def _wanted(scores: torch.Tensor, min_predicted_iou: float | None) -> torch.Tensor:
    """Which masks to keep, (B, M) bool."""
    if min_predicted_iou is None:
        return torch.ones_like(scores, dtype=torch.bool)
    return scores > min_predicted_iou
