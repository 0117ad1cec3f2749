"""One PNG a mask: 255 on the object, 0 elsewhere, the size of the picture.

One mask is written to ``NAME.png``, N of them to ``NAME_0.png`` to ``NAME_<N-1>.png``. Scores and
prompts are not kept: JSON keeps them.
"""

from collections.abc import Iterator
from pathlib import Path

from samphire.formats import grey
from samphire.formats.format import Picture
from samphire.masks import Masks


def paths(path: Path, count: int) -> list[Path]:
    """The files that so many masks are written to.

    >>> [made.name for made in paths(Path("dog.png"), 2)]
    ['dog_0.png', 'dog_1.png']
    """
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{index}{path.suffix}") for index in range(count)]


def encode(masks: Masks, picture: Picture) -> Iterator[bytes]:
    """The PNG of each mask, one after the other; nothing is said about the picture."""
    del picture
    for mask in masks:
        yield grey.mask_png(mask.to_array()[0])


def read(path: Path, image: str | None = None) -> Masks:
    """One mask: whatever is not black is on.

    Args:
        path: of one of the files.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: the file is not a grey PNG of a sensible size.
    """
    del image
    return Masks.from_arrays(grey.read_png(path)[None])
