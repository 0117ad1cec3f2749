"""The members of the family, each a plain function with the paper's numbers written out.

Weights come from elsewhere (``weights/``): a fresh variant is untrained.
"""

from collections.abc import Callable

from samphire.model.mask_decoder import MaskDecoder
from samphire.model.prompt_encoder import PromptEncoder
from samphire.model.sam import Sam
from samphire.model.tiny_encoder import TinyViT
from samphire.model.two_way_transformer import TwoWayTransformer


def vit_t() -> Sam:
    """MobileSAM: TinyViT-5M on 1024 pixels, 10.1 M parameters. Source: Zhang et al. 2023."""
    encoder = TinyViT(
        img_size=1024,
        embed_dims=(64, 128, 160, 320),
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 5, 10),
        window_sizes=(7, 7, 14, 7),
        drop_path_rate=0.0,
    )
    return Sam(encoder, _prompt_encoder(grid=64, input_side=1024), _mask_decoder(mlp_dim=2048))


def tiny() -> Sam:
    """The smallest member, 64 pixels, for tests and for reading: nobody has trained it."""
    encoder = TinyViT(
        img_size=64,
        num_classes=1,
        embed_dims=(16, 16, 32, 32),
        depths=(1, 1, 2, 1),
        num_heads=(1, 2, 2, 4),
        window_sizes=(3, 3, 4, 3),
        drop_path_rate=0.0,
    )
    return Sam(encoder, _prompt_encoder(grid=4, input_side=64), _mask_decoder(mlp_dim=64))


SAM_VARIANTS: dict[str, Callable[[], Sam]] = {"tiny": tiny, "vit_t": vit_t}


def _prompt_encoder(*, grid: int, input_side: int) -> PromptEncoder:
    """What all members share, for a grid of cells and an input side in pixels."""
    return PromptEncoder(
        embed_dim=256,
        image_embedding_size=(grid, grid),
        input_image_size=(input_side, input_side),
        mask_in_chans=16,
    )


def _mask_decoder(*, mlp_dim: int) -> MaskDecoder:
    return MaskDecoder(
        transformer_dim=256,
        transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=mlp_dim),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
