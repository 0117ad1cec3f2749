"""Pictures and mask files in folders, paired by name.

    images/a.jpg   masks/a.png                      one mask file
    images/b.jpg   masks/b_1.png  masks/b_2.png     or masks/b/1.png ...: several, which may overlap
    c.jpg  c_mask.png  or  c.mask.png               in one folder

Folders are also called image/img/imgs and mask/label/labels; subfolders are kept, and those called
train, val or test are splits, on either side: ``train/images`` or ``images/train``.
What the numbers in the files mean: ``mask_files.py``.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from samphire.errors import FileFormatError
from samphire.samples.mask_files import read_masked
from samphire.samples.reading import (
    CLASSES,
    IMAGE_FOLDERS,
    by_stem,
    files_in,
    folder_called,
    left_out,
    relative,
    roots_of,
    sentences,
    split_of_path,
)
from samphire.samples.sample import DataSet, Sample

LAYOUT = "image and mask folders"
LAYOUT_MIXED = "images and masks in one folder"
MASK_FOLDERS = ("masks", "mask", "labels", "label")
MASK_WORD = re.compile(r"(?i)^(.+)[._-](?:masks?|seg|segmentation|labels?|gt)(?:_\d+)?$")
NUMBERS_ARE_OBJECTS = (
    f"Numbers in a mask file count its objects; where they are classes, name these: give {CLASSES}."
)


def find(path: Path, classes: tuple[str, ...]) -> DataSet | None:
    """The data set of a folder; None if it is of another layout."""
    if not path.is_dir():
        return None
    roots = [
        (images, masks)
        for root in roots_of(path)
        if (images := folder_called(root, IMAGE_FOLDERS))
        and (masks := folder_called(root, MASK_FOLDERS))
        and files_in(images)
        and files_in(masks)
    ]
    if roots:
        paired = [_pair(path, images, masks) for images, masks in roots]
        return _data_set(path, LAYOUT, paired, classes)
    files = files_in(path)
    masks_found = [file for file in files if MASK_WORD.match(file.stem)]
    if not masks_found:
        return None
    return _data_set(path, LAYOUT_MIXED, [_pair_mixed(path, files)], classes)


def partners(stems: Sequence[str], masks: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The masks of each image by name, and the masks of none.

    A mask belongs to the image of its name; or else to the one with the longest name that its own
    continues, after one of ``_ - . /``, if that image has no mask of its very name.

    >>> partners(["a", "a_1", "b"], ["a", "a_1", "b_heart", "b_lung", "c"])
    ({'a': ['a'], 'a_1': ['a_1'], 'b': ['b_heart', 'b_lung']}, ['c'])
    """
    known, exact = set(stems), set(stems) & set(masks)
    found: dict[str, list[str]] = {stem: [stem] for stem in sorted(exact)}
    alone: list[str] = []
    for mask in masks:
        if mask in exact:
            continue
        cuts = [place for place, letter in enumerate(mask) if letter in "_-./"]
        owner = next((mask[:cut] for cut in reversed(cuts) if mask[:cut] in known), None)
        if owner is None or owner in exact:
            alone.append(mask)
        else:
            found.setdefault(owner, []).append(mask)
    return found, alone


@dataclass(frozen=True)
class _Paired:
    """Mask files of each image, and the names of files that were left out."""

    pairs: dict[Path, list[Path]]
    without_mask: list[str]
    without_image: list[str]
    twins: list[str]


def _pair(path: Path, images: Path, masks: Path) -> _Paired:
    """Masks of each image; images without, masks without, images of a name taken."""
    image_of, twins = by_stem(path, images, files_in(images))
    mask_of, twin_masks = by_stem(path, masks, files_in(masks))
    return _joined(path, image_of, mask_of, twins + twin_masks)


def _pair_mixed(path: Path, files: list[Path]) -> _Paired:
    images = [file for file in files if not MASK_WORD.match(file.stem)]
    masks = [file for file in files if MASK_WORD.match(file.stem)]
    image_of, twins = by_stem(path, path, images)
    mask_of, twin_masks = by_stem(path, path, masks)
    return _joined(path, image_of, mask_of, twins + twin_masks)


def _joined(
    path: Path, image_of: dict[str, Path], mask_of: dict[str, Path], twins: list[str]
) -> _Paired:
    found, alone = partners(list(image_of), list(mask_of))
    pairs = {image_of[stem]: [mask_of[mask] for mask in masks] for stem, masks in found.items()}
    bare = [relative(path, image) for image in image_of.values() if image not in pairs]
    return _Paired(pairs, bare, [relative(path, mask_of[mask]) for mask in alone], twins)


def _data_set(
    path: Path, layout: str, paired: Sequence[_Paired], classes: tuple[str, ...]
) -> DataSet:
    samples = [
        _sample(path, image, tuple(masks), classes)
        for each in paired
        for image, masks in each.pairs.items()
    ]
    notes = sentences(
        left_out(_all(each.without_mask for each in paired), "without a mask"),
        left_out(
            _all(each.without_image for each in paired),
            "without an image of its name",
            ("mask", "masks"),
        ),
        left_out(
            _all(each.twins for each in paired),
            "with the name of another, save the suffix,",
            ("file", "files"),
        ),
    )
    if not samples:
        raise FileFormatError(
            f"{path}: {layout}, but no image has a mask of its name. {' '.join(notes)} Expected "
            "images/a.jpg with masks/a.png or masks/a_1.png, or a.jpg with a_mask.png"
        )
    return DataSet(
        name=path.name,
        layout=layout,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
        classes=classes,
        notes=notes if classes else (*notes, NUMBERS_ARE_OBJECTS),
    )


def _sample(path: Path, image: Path, masks: tuple[Path, ...], classes: tuple[str, ...]) -> Sample:
    name = relative(path, image)
    return Sample(
        id=name,
        group=name,
        files=(image, *masks),
        read=partial(read_masked, image, masks, (), classes),
        split=split_of_path(Path(name).parent),
    )


def _all(lists: Iterable[list[str]]) -> list[str]:
    return list(chain.from_iterable(lists))
