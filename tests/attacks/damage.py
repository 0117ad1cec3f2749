"""What the attacks share: bytes of a sound file, changed; and how many are tried.

The plain run tries few, always the same. ``SAMPHIRE_ATTACKS=100`` tries a hundred times as many,
new ones each time. A reader added later gets a file here that calls :func:`damaged` on what its
writer wrote, and allows the reader's own error only.
"""

import os

from hypothesis import settings
from hypothesis import strategies as st

BUDGET = int(os.environ.get("SAMPHIRE_ATTACKS", "1"))

# Bytes and numbers that sit at the edge of something.
_ODD_BYTES = st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]) | st.integers(0, 255)
_ODD_NUMBERS = st.sampled_from([0, 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1])


def attack(examples: int) -> settings:
    """Settings of a test that tries so many."""
    return settings(max_examples=examples * BUDGET, derandomize=BUDGET == 1)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content after one to four changes: bytes and numbers, mostly near the start; cuts."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        last = max(len(made) - 1, 0)
        at = draw(st.integers(0, min(last, 300)) | st.integers(0, last))
        kind = draw(st.sampled_from(["byte", "byte", "number", "bit", "cut", "double", "remove"]))
        if kind == "byte":
            made[at : at + 1] = bytes([draw(_ODD_BYTES)])
        elif kind == "number":
            order = draw(st.sampled_from(["big", "little"]))
            made[at : at + 4] = draw(_ODD_NUMBERS).to_bytes(4, order)
        elif kind == "bit" and made:
            made[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del made[at:]
        elif kind == "double":
            made[at:at] = made[at : at + draw(st.integers(1, 64))]
        elif kind == "remove":
            del made[at : at + draw(st.integers(1, 64))]
    return bytes(made)
