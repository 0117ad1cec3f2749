"""What a format of masks is: how it writes, reads, and says what it cannot hold.

Not the formats themselves, each a file beside this one, nor the table of them (``__init__.py``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samphire.arrays import ByteArray
from samphire.masks import Masks


@dataclass(frozen=True, eq=False)
class Picture:
    """The picture that masks lie on, as far as a file of masks tells of it.

    Attributes:
        name: what the file calls it, for example ``day1/photo.jpg``; empty if unknown.
        link: path of the picture from the folder of the file of masks, with slashes, for programs
            that open both; empty if unknown.
        rgb: (H, W, 3) uint8, where the pixels are at hand.
    """

    name: str = ""
    link: str = ""
    rgb: ByteArray | None = None


def one_file(path: Path, _: int) -> list[Path]:
    """``Format.paths`` of a format that puts all masks of a picture into one file."""
    return [path]


def nothing_lost(_: Masks) -> tuple[str, ...]:
    """``Format.losses`` of a format that keeps all that Masks hold."""
    return ()


@dataclass(frozen=True)
class Format:
    """How masks of one picture are written and read back.

    Attributes:
        name: what ``--format`` calls it.
        suffix: how the names of its files end; the last part alone will do where it is unique.
        summary: one line for a person who chooses.
        encode: the bytes of each file that the masks become, in the order of ``paths``.
        paths: the names of these files, for a path and a number of masks.
        read: gets masks back from a path; the second argument is the name of one of the pictures
            in the file, or None where there is one. None: it is write-only.
        losses: what these masks would lose in this format, one line each, to be told before
            anything is written.
        needs_pixels: ``encode`` reads ``Picture.rgb``.
        picture: what a file says of its picture, where it says something; never its pixels.
        pictures: the names of the pictures in a file, where it may be about several.
        combined: name of the one file that tells of many pictures, where there is such a thing.
        combine: makes it of the files of each picture.
    """

    name: str
    suffix: str
    summary: str
    encode: Callable[[Masks, Picture], Iterable[bytes]]
    paths: Callable[[Path, int], list[Path]]
    read: Callable[[Path, str | None], Masks] | None
    losses: Callable[[Masks], tuple[str, ...]] = nothing_lost
    needs_pixels: bool = False
    picture: Callable[[Path], Picture] | None = None
    pictures: Callable[[Path], list[str]] | None = None
    combined: str = ""
    combine: Callable[[Sequence[bytes]], bytes] | None = None
