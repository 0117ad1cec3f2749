"""The directory of one page of a TIFF: just enough to know the page before decoding it.

For the kinds that Pillow refuses or cuts down to 8 bits; OpenCV, which decodes them, tells neither
the size nor the number of bands beforehand. Not for decoding.
Source: TIFF revision 6.0, section 2 (image file directory); BigTIFF as libtiff writes it.
"""

import struct
from dataclasses import dataclass

from samphire.arrays import ByteArray
from samphire.errors import ImageError

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PILLOW_MISREADS = SIGNATURES[3]  # big-endian BigTIFF, which it takes for a small one

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA = 256, 257, 258, 262, 277, 338
TILE_WIDTH, TILE_HEIGHT = 322, 323
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # strips, tiles
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # byte, short, long, long8: what these tags are

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
    tile: tuple[int, int]  # width and height, zeros where there are strips
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
        tile=(tags.get(TILE_WIDTH, (0,))[0], tags.get(TILE_HEIGHT, (0,))[0]),
        sound=_inside(tags, len(buffer)),
    )


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
