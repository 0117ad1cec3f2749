"""The directory of one page of a TIFF: just enough to know the page before decoding it.

For the kinds that Pillow refuses or cuts down to 8 bits; OpenCV, which decodes them, tells neither
the size nor the number of bands beforehand. Not for decoding.
Source: TIFF revision 6.0, section 2 (image file directory); BigTIFF as libtiff writes it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samphire.arrays import ByteArray
from samphire.errors import ImageError

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PILLOW_MISREADS = SIGNATURES[3]  # big-endian BigTIFF, which it takes for a small one

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA = 256, 257, 258, 262, 277, 338
_ROWS, _PLANES, _TILE_WIDTH, _TILE_HEIGHT = 278, 284, 322, 323
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # strips, tiles
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # byte, short, long, long8: what these tags are

# A tile is unpacked whole: so many times the pixels of its page are allowed, or some millions.
_LARGEST_TILE, _SMALL_TILE = 4, 1 << 22
# Strips and tags beyond this are damage or an attack.
_MOST_VALUES, _MOST_TAGS, _MOST_PAGES = 1 << 20, 4096, 100_000


@dataclass(frozen=True)
class Page:
    """What the directory says."""

    width: int
    height: int
    samples: int
    bits: tuple[int, ...]
    photometric: int  # 0 grey, white is 0; 1 grey; 2 RGB
    extra: tuple[int, ...]  # of samples beyond the colours: 0 unspecified, 1 and 2 alpha
    tags: dict[int, tuple[int, ...]]
    sound: bool  # every strip or tile lies inside the file


class _Reader:
    """Numbers of a file in its byte order; any read past the end is a damaged file."""

    def __init__(self, buffer: ByteArray, name: str) -> None:
        self.buffer, self.name = buffer, name
        head = bytes(buffer[:4])
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = head in SIGNATURES[2:]

    def read(self, code: str, at: int, count: int = 1) -> tuple[int, ...]:
        layout = f"{self.order}{count}{code}"
        try:
            return struct.unpack_from(layout, self.buffer.data, at)
        except struct.error as error:
            raise ImageError(f"{self.name} is damaged: its TIFF directory is cut off") from error

    def first(self) -> int:
        return self.read("Q", 8)[0] if self.big else self.read("I", 4)[0]

    def tags(self, at: int) -> tuple[dict[int, tuple[int, ...]], int]:
        """The tags of whole numbers of the directory at ``at``, and where the next one lies."""
        counter, width, long = ("Q", 20, "Q") if self.big else ("H", 12, "I")
        start = at + struct.calcsize(counter)
        (number,) = self.read(counter, at)
        if number > _MOST_TAGS:
            raise ImageError(f"{self.name} is damaged: a TIFF directory of {number} tags")
        found = {}
        for entry in range(start, start + number * width, width):
            tag, kind = self.read("H", entry, 2)
            (count,) = self.read(long, entry + 4)
            code = _TYPES.get(kind)
            if code is None or not 0 < count <= _MOST_VALUES:
                continue
            value = entry + 4 + struct.calcsize(long)
            if count * struct.calcsize(code) > struct.calcsize(long):
                (value,) = self.read(long, value)
            found[tag] = self.read(code, value, count)
        return found, self.read(long, start + number * width)[0]


def page_of(buffer: ByteArray, number: int, name: str) -> Page:
    """The directory of page ``number``, counted from 0.

    Args:
        buffer: (N,) uint8, the file.
        number: of the page.
        name: of the file, for the message.

    Raises:
        ImageError: there is no such page, or the file is damaged.
    """
    reader = _Reader(buffer, name)
    at, seen = reader.first(), set[int]()
    while len(seen) < number and at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        _, at = reader.tags(at)
    if not at or at in seen:
        raise ImageError(no_page(name, number, len(seen)))
    tags, _ = reader.tags(at)
    try:
        (width,), (height,) = tags[_WIDTH], tags[_HEIGHT]
    except (KeyError, ValueError) as error:
        raise ImageError(f"{name} is damaged: its TIFF directory has no size") from error
    samples = tags.get(_SAMPLES, (1,))[0]
    return Page(
        width=width,
        height=height,
        samples=samples,
        bits=tags.get(_BITS, (1,)),
        photometric=tags.get(_PHOTOMETRIC, (1,))[0],
        extra=tags.get(_EXTRA, ()),
        tags=tags,
        sound=_inside(tags, len(buffer)),
    )


def check_pieces(tags: Mapping[int, Any], size: tuple[int, int], name: str) -> None:
    """Refuse a page that its strips or tiles do not cover, or whose tiles are far larger than it.

    Decoders leave black what is not covered, and set memory aside for a whole tile.

    Args:
        tags: the page's, each a number or a tuple, as here or as Pillow has them.
        size: of the page, width and height.
        name: of the file, for the message.
    """
    width, height = size
    across = _number(tags, _TILE_WIDTH, width)
    down = _number(tags, _TILE_HEIGHT, min(_number(tags, _ROWS, height), height))
    if across * down > max(_LARGEST_TILE * width * height, _SMALL_TILE):
        raise ImageError(
            f"{name} is damaged: its tiles are {across}x{down}, its page {width}x{height}"
        )
    planes = _number(tags, _SAMPLES, 1) if _number(tags, _PLANES, 1) == 2 else 1
    needed = -(-width // max(across, 1)) * -(-height // max(down, 1)) * planes
    listed = max(len(tags.get(offsets, ())) for offsets in _OFFSETS)
    if listed < needed:
        raise ImageError(
            f"{name} is damaged: its TIFF directory lists {listed} of the {needed} strips or tiles "
            "that its page needs"
        )


def _number(tags: Mapping[int, Any], tag: int, default: int) -> int:
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def no_page(name: str, number: int, count: int) -> str:
    """The message for a page that is not there."""
    pages = "1 page, page 0" if count == 1 else f"{count} pages, 0 to {count - 1}"
    return f"{name} has no page {number}: expected one of its {pages} (--page counts from 0)"


def _inside(tags: dict[int, tuple[int, ...]], length: int) -> bool:
    for offsets, counts in zip(_OFFSETS, _COUNTS, strict=True):
        if offsets in tags and len(tags[offsets]) == len(tags.get(counts, ())):
            pairs = zip(tags[offsets], tags[counts], strict=True)
            return all(at > 0 and at + count <= length for at, count in pairs)
    return False
