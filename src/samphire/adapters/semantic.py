"""Classes without prompts: a token for each, where SAM has one for each reading of a prompt.

    C + 1 class tokens (the background first) -> SAM's transformer -> an MLP each -> C + 1 maps

Each token and MLP starts as a copy of the decoder's token 0 and its MLP, the reading for prompts
that leave no doubt. The transformer and the upscaling are the decoder's own, frozen or trained.
Source: Zhang and Liu 2023 (SAMed), section 3; Kirillov et al. 2023, appendix A, for the decoder.
"""

import copy

import torch
from torch import nn

from samphire.model.mask_decoder import MaskDecoder
from samphire.model.sam import Sam


class SemanticHead(nn.Module):
    """Tokens and hypernetworks of the classes.

    Args:
        decoder: whose first mask token and MLP they are copies of.
        classes: without the background.
    """

    def __init__(self, decoder: MaskDecoder, classes: int) -> None:
        super().__init__()
        token = decoder.mask_tokens.weight[:1].detach()
        self.class_tokens = nn.Parameter(token.repeat(classes + 1, 1))
        mlps = [copy.deepcopy(decoder.output_hypernetworks_mlps[0]) for _ in range(classes + 1)]
        self.hypernetworks = nn.ModuleList(mlps).requires_grad_(requires_grad=True)

    @property
    def classes(self) -> int:
        """Without the background."""
        return len(self.class_tokens) - 1

    def forward(self, sam: Sam, features: torch.Tensor) -> torch.Tensor:
        """Image embedding (1, C, G, G) of ``sam``'s encoder -> logits (1, classes + 1, 4G, 4G)."""
        sparse, dense = sam.prompt_encoder(None, None, None)
        logits, _ = sam.mask_decoder.masks_of(
            self.class_tokens,
            self.hypernetworks,
            features,
            sam.prompt_encoder.get_dense_pe(),
            sparse,
            dense,
        )
        return logits
