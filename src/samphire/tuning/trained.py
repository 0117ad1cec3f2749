"""What trains, as a table for a person: shown before the first step, and in the report."""

from samphire.adapters import Adapted
from samphire.adapters.inject import DECODER, HEAD
from samphire.adapters.sites import ENCODER, encoder_blocks


def trained_table(adapted: Adapted) -> list[tuple[str, int, int]]:
    """Rows of part, tensors and parameters; the last one is the total.

    The share of the whole model is in the last row's name.
    """
    blocks = encoder_blocks(adapted.base)
    rows: dict[str, tuple[int, int]] = {}
    for name, value in adapted.parameters().items():
        part = _part(name, blocks)
        tensors, count = rows.get(part, (0, 0))
        rows[part] = (tensors + 1, count + value.numel())
    tensors, count = (sum(row[place] for row in rows.values()) for place in (0, 1))
    whole = sum(value.numel() for value in adapted.base.parameters())
    total = (f"all ({100 * count / whole:.1f} % of the model)", tensors, count)
    return [*((part, *row) for part, row in rows.items()), total]


def _part(name: str, blocks: list[str]) -> str:
    if name.startswith(f"{HEAD}."):
        return "class tokens and their MLPs"
    if name.startswith(f"{DECODER}."):
        return "mask decoder"
    inside = [place for place, path in enumerate(blocks) if name.startswith(f"{path}.")]
    if inside:
        return f"image encoder, block {inside[0] + 1} of {len(blocks)}"
    return "image encoder, neck" if name.startswith(f"{ENCODER}.neck.") else "image encoder, start"
