"""The members of the family, each a plain function with the paper's numbers written out.

Weights come from elsewhere (``weights/``): a fresh variant is untrained.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from samphire.model.image_encoder import ImageEncoderViT
from samphire.model.mask_decoder import MaskDecoder
from samphire.model.prompt_encoder import PromptEncoder
from samphire.model.sam import Sam
from samphire.model.tiny_encoder import TinyViT
from samphire.model.two_way_transformer import TwoWayTransformer


def vit_t() -> Sam:
    """MobileSAM: TinyViT-5M on 1024 pixels, 10.1 M parameters. Source: Zhang et al. 2023."""
    return _sam(_tiny_vit_5m(img_size=1024), grid=64, input_side=1024)


def lite_medsam() -> Sam:
    """LiteMedSAM: TinyViT-5M on 256 pixels, medical, box prompts, 9.8 M parameters.

    Source: the branch LiteMedSAM of bowang-lab/MedSAM; Ma et al. 2024.
    """
    encoder = _tiny_vit_5m(img_size=256, cell=1, classifier=False)
    return _sam(encoder, grid=64, input_side=256)


def vit_b(table_side: int = 1024) -> Sam:
    """SAM with ViT-Base, 94 M parameters. Source: Kirillov et al. 2023, appendix A."""
    return vit(768, 12, 12, (2, 5, 8, 11), table_side=table_side)


def vit_l(table_side: int = 1024) -> Sam:
    """SAM with ViT-Large, 312 M parameters."""
    return vit(1024, 24, 16, (5, 11, 17, 23), table_side=table_side)


def vit_h(table_side: int = 1024) -> Sam:
    """SAM with ViT-Huge, 641 M parameters."""
    return vit(1280, 32, 16, (7, 15, 23, 31), table_side=table_side)


def medsam(table_side: int = 1024) -> Sam:
    """MedSAM: ``vit_b`` with other weights and another preprocessing. Source: Ma et al. 2024."""
    return vit_b(table_side)


def vit(
    embed_dim: int,
    depth: int,
    num_heads: int,
    global_attn_indexes: Sequence[int],
    *,
    table_side: int = 1024,
) -> Sam:
    """SAM with a ViT of any size.

    Args:
        embed_dim: channels of a token.
        depth: blocks.
        num_heads: of attention.
        global_attn_indexes: blocks that attend to the whole picture.
        table_side: input side, pixels, that the encoder's position tables are for.
    """
    encoder = ImageEncoderViT(
        img_size=table_side,
        patch_size=16,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=global_attn_indexes,
    )
    return _sam(encoder, grid=table_side // 16, input_side=table_side)


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
    return _sam(encoder, grid=4, input_side=64, mlp_dim=64)


# Those whose position tables may be for any side.
VIT_VARIANTS: dict[str, Callable[[int], Sam]] = {
    "medsam": medsam,
    "vit_b": vit_b,
    "vit_h": vit_h,
    "vit_l": vit_l,
}
SAM_VARIANTS: dict[str, Callable[[], Sam]] = {
    "lite_medsam": lite_medsam,
    "medsam": medsam,
    "tiny": tiny,
    "vit_b": vit_b,
    "vit_h": vit_h,
    "vit_l": vit_l,
    "vit_t": vit_t,
}


def _tiny_vit_5m(*, img_size: int, cell: int = 4, classifier: bool = True) -> TinyViT:
    return TinyViT(
        img_size=img_size,
        embed_dims=(64, 128, 160, 320),
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 5, 10),
        window_sizes=(7, 7, 14, 7),
        drop_path_rate=0.0,
        cell=cell,
        classifier=classifier,
    )


def _sam(encoder: nn.Module, *, grid: int, input_side: int, mlp_dim: int = 2048) -> Sam:
    """The parts that all members share, for a grid of cells and an input side in pixels."""
    prompt_encoder = PromptEncoder(
        embed_dim=256,
        image_embedding_size=(grid, grid),
        input_image_size=(input_side, input_side),
        mask_in_chans=16,
    )
    mask_decoder = MaskDecoder(
        transformer_dim=256,
        transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=mlp_dim),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    return Sam(encoder, prompt_encoder, mask_decoder)
