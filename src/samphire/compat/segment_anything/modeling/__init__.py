"""The parts of the model under their published names; TinyViT is MobileSAM's."""

from samphire.compat.segment_anything.modeling.image_encoder import (
    ImageEncoderViT as ImageEncoderViT,
)
from samphire.compat.segment_anything.modeling.mask_decoder import MaskDecoder as MaskDecoder
from samphire.compat.segment_anything.modeling.prompt_encoder import PromptEncoder as PromptEncoder
from samphire.compat.segment_anything.modeling.sam import Sam as Sam
from samphire.compat.segment_anything.modeling.tiny_vit_sam import TinyViT as TinyViT
from samphire.compat.segment_anything.modeling.transformer import (
    TwoWayTransformer as TwoWayTransformer,
)
