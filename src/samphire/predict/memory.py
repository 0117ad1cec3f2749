"""Whether the work fits into the memory that it may take: an estimate, made before it begins.

Not a limit that the system enforces. How good the estimate is, ``benchmarks/everything_memory.py``
measures.
"""

import psutil

from samphire.cache import parse_bytes, shown_bytes
from samphire.engines.base import Engine
from samphire.errors import MemoryBudgetError
from samphire.geometry import Size

# What calls of the decoder, masks on their way, and numba take: measured, and rounded up.
WORKING = 400 * 10**6
# A picture that is resized to the model's input is copied: once for the crop, once in four bytes
# a pixel by Pillow.
COPIES = 3 + 4


def check_fits(max_memory: int | str | None, engine: Engine, size: Size, *, encodes: bool) -> None:
    """Refuse work that would take the process beyond its budget.

    Args:
        max_memory: of the whole process, bytes or text such as 2GB; None: no limit.
        engine: says what its encoder takes.
        size: of the picture, which is in memory already.
        encodes: whether the encoder will run.

    Raises:
        MemoryBudgetError: it does not fit.
        ValueError: the text is not a number of bytes.
    """
    if max_memory is None:
        return
    allowed = parse_bytes(max_memory) if isinstance(max_memory, str) else max_memory
    held = psutil.Process().memory_info().rss
    pixels = size.height * size.width * COPIES if encodes else 0
    work = max(engine.encode_bytes + pixels if encodes else 0, WORKING)
    if held + work > allowed:
        raise MemoryBudgetError(
            f"about {shown_bytes(held + work)} are needed, and {shown_bytes(allowed)} allowed: the "
            f"process holds {shown_bytes(held)}, the work takes up to {shown_bytes(work)} more; "
            "allow more memory, shrink the picture, or choose a smaller model"
        )
