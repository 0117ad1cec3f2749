"""Whether a PNG holds all the pixels that its header promises, unharmed.

Pillow reads a PNG whose data end early as black rows, and does not compare the checksum of its
data. Both are damage that a reader should hear of. Not for decoding: that is Pillow's.
Source: PNG specification (third edition), sections 5.3 (chunks), 8 (interlace), 10 (compression).
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from samphire.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Bytes held at a time.
_PIECE = 1 << 18
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type

# Adam7: x start, y start, x step, y step of each pass.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def check_png(file: BinaryIO, name: str) -> None:
    """Refuse a PNG whose first picture is damaged or incomplete.

    Args:
        file: at any position, where it is left again. Its size in pixels was checked before: at
            most that many pixels are unpacked, a quarter of a megabyte at a time.
        name: for the message.

    Raises:
        ImageError: a checksum is wrong, the data cannot be unpacked, or there are too few.
    """
    left_at = file.tell()
    try:
        _check_data(file, name)
    finally:
        file.seek(left_at)


def _check_data(file: BinaryIO, name: str) -> None:
    file.seek(len(SIGNATURE) + 8)
    expected = _data_length(file.read(13))
    unpack, found = zlib.decompressobj(), 0
    try:
        for piece in _data(file, name):
            pending = piece
            while pending and found < expected and not unpack.eof:
                found += len(unpack.decompress(pending, _PIECE))
                pending = unpack.unconsumed_tail
    except zlib.error as error:
        raise ImageError(f"{name} is damaged: its PNG data cannot be unpacked ({error})") from error
    found += len(unpack.flush()) if found < expected else 0
    if found < expected:
        raise ImageError(
            f"{name} is damaged: its PNG data hold {found} of the {expected} bytes that the header "
            "promises (get the file again)"
        )


def _data_length(header: bytes) -> int:
    """Bytes of the unpacked data by the body of IHDR: a filter byte a row, and the row."""
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    bits = depth * _SAMPLES.get(colour, 1)
    total = 0
    for x, y, across, down in _PASSES if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _data(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The bodies of the IDAT chunks in pieces, each chunk's checksum compared at its end."""
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        if kind != b"IDAT":
            file.seek(length + 4, 1)
            continue
        checksum = zlib.crc32(kind)
        while length > 0 and (piece := file.read(min(length, _PIECE))):
            checksum, length = zlib.crc32(piece, checksum), length - len(piece)
            yield piece
        stored = file.read(4)
        if len(stored) < 4:  # OpenCV asks for a gigabyte where a chunk promises more than follows
            raise ImageError(f"{name} is damaged: its PNG data are cut off (get the file again)")
        if stored != checksum.to_bytes(4, "big"):
            raise ImageError(
                f"{name} is damaged: the checksum of its PNG data is wrong (get the file again)"
            )
