"""The mirror of ``segment_anything``: its modules, its names, Samphire's models.

With ``build_sam_vit_t`` it is ``mobile_sam``'s mirror too; see ``samphire/compat/aliases.py``.
"""

from samphire.compat.segment_anything.automatic_mask_generator import (
    SamAutomaticMaskGenerator as SamAutomaticMaskGenerator,
)
from samphire.compat.segment_anything.build_sam import build_sam as build_sam
from samphire.compat.segment_anything.build_sam import build_sam_vit_b as build_sam_vit_b
from samphire.compat.segment_anything.build_sam import build_sam_vit_h as build_sam_vit_h
from samphire.compat.segment_anything.build_sam import build_sam_vit_l as build_sam_vit_l
from samphire.compat.segment_anything.build_sam import build_sam_vit_t as build_sam_vit_t
from samphire.compat.segment_anything.build_sam import sam_model_registry as sam_model_registry
from samphire.compat.segment_anything.predictor import SamPredictor as SamPredictor
