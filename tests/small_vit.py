"""A ViT small enough for tests; ``small`` of ``weights/conftest.py`` puts it in vit_b's place."""

from samphire.model import variants
from samphire.model.sam import Sam


def small_vit(table_side: int = 128) -> Sam:
    return variants.vit(32, 4, 2, (1, 3), table_side=table_side)
