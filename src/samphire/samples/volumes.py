"""Labelled NIfTI volumes as samples, a slice each.

Opening a data set reads headers; a slice is read when it is asked for, with its whole volume. The
volumes read last stay in memory: reading slices in order decodes each file once, and so does a
random order where ``KEPT_BYTES`` hold them all; beyond, it decodes a volume for most slices. What a
slice looks like depends on its whole volume (``window.py``) and on nothing else.

The layouts are in ``volume_layouts.py``, the files in ``nifti.py``. Not for writing volumes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from samphire.arrays import BoolArray, ByteArray
from samphire.errors import FileFormatError, ImageError, ShapeError
from samphire.images.intensity import to_bytes
from samphire.images.window import PERCENTILES, Window
from samphire.masks import Masks
from samphire.samples import nifti
from samphire.samples.nifti import Grid, Plane
from samphire.samples.recent import Recent
from samphire.samples.sample import DataSet, Labelled, Sample, Volume
from samphire.samples.volume_layouts import Case, Layout, find_layout, listed

# Two bytes a voxel: about ten volumes of 256 x 256 x 200, or five CTs of 512 x 512 x 100.
KEPT_BYTES = 256 << 20
_RECENT = Recent(KEPT_BYTES)


@dataclass(frozen=True)
class _Recipe:
    """All that the pixels and objects of a volume's slices depend on."""

    images: tuple[Path, ...]
    label: Path
    plane: Plane
    window: Window
    classes: tuple[str, ...]
    ignore: int | None


def holds_volumes(path: Path) -> bool:
    """Whether a folder looks like one of volumes, by the names in it."""
    places = [path / name for name in ("images", "imagesTr")]
    names = [file.name for place in places if place.is_dir() for file in place.iterdir()]
    return any(name.endswith(nifti.SUFFIXES) for name in names)


def find(path: Path, classes: tuple[str, ...], window: Window | None = None) -> DataSet | None:
    """The data set of a folder that holds volumes, with the usual planes; else None."""
    if not holds_volumes(path):
        return None
    return nifti_samples(path, classes=classes, window=window or PERCENTILES)


def nifti_samples(
    path: Path,
    *,
    classes: tuple[str, ...] = (),
    window: Window = PERCENTILES,
    plane: Plane | None = None,
    channels: tuple[int, ...] | None = None,
) -> DataSet:
    """The slices of a folder's volumes, each with its objects: a class of the slice is an object.

    Args:
        path: a folder with ``images/`` and ``labels/``, with a ``split.csv`` of columns image and
            mask (or label) and perhaps id, split and group, or in nnU-Net's raw layout.
        classes: names of the labels 1, 2, ...; empty: from ``dataset.json``, and where there is
            none the labels are read once to see which values they hold.
        window: which intensities become black and white, in each channel by itself.
        plane: the slices' plane; None: the one whose slices are farthest apart, by volume.
        channels: which of a case's files become red, green and blue; None: all, at most three. One
            is shown grey; of two, blue is black.

    Returns:
        All slices of all cases, those without objects included. Cases without labels are left out
        and noted.

    Raises:
        FileFormatError: no layout was recognised; volumes cannot be used (all are named).
        MissingExtraError: nibabel is not installed.
    """
    found = find_layout(path)
    chosen, notes = _chosen_channels(found, channels)
    cases = [_picked(case, chosen) for case in found.cases if _has(case, chosen)]
    grids = _grids(cases)
    names = _class_names(found, cases, classes)
    samples: list[Sample] = []
    counts: Counter[Plane] = Counter()
    for case, grid in zip(cases, grids, strict=True):
        its = plane or nifti.widest_plane(grid)
        *images, label = _files(case)
        recipe = _Recipe(tuple(images), label, its, window, names, found.ignore)
        samples += _samples(path, case, grid, recipe)
        counts[its] += 1
    sliced = ", ".join(f"{count} {its}" for its, count in counts.most_common())
    mixed = " (choose one plane for all?)" if len(counts) > 1 else ""
    return DataSet(
        name=path.name,
        layout=found.words,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
        classes=names,
        named=found.classes,
        notes=(
            *found.notes,
            *notes,
            f"Black and white of a volume: {window}.",
            f"Volumes by their slices' plane: {sliced}{mixed}.",
        ),
        window=str(window),
    )


def stack(slices: Sequence[tuple[int, BoolArray]], count: int) -> BoolArray:
    """Slices put together to their volume.

    Args:
        slices: index (``Volume.index``) and mask (H, W) of each, in any order.
        count: slices that the volume has.

    Returns:
        (count, H, W) bool.

    Raises:
        ShapeError: a slice is missing, there twice or outside, or sizes differ.

    >>> stack([(1, np.ones((1, 2), bool)), (0, np.zeros((1, 2), bool))], 2).tolist()
    [[[False, False]], [[True, True]]]
    """
    given = Counter(index for index, _ in slices)
    wrong = [str(index) for index in range(count) if given[index] != 1]
    wrong += [str(index) for index in sorted(given) if not 0 <= index < count]
    if wrong or not count:
        raise ShapeError(
            f"slices {listed(wrong) or 'none'} of {count} are missing, there twice or outside: "
            "expected each of the volume's slices once"
        )
    sizes = {mask.shape for _, mask in slices}
    if len(sizes) > 1:
        raise ShapeError(f"slices of one volume have the shapes {sorted(sizes)}: expected one")
    return np.stack([mask for _, mask in sorted(slices, key=lambda pair: pair[0])]).astype(bool)


def _chosen_channels(
    found: Layout, channels: tuple[int, ...] | None
) -> tuple[tuple[int, ...], list[str]]:
    """The channels' numbers, and a note about cases that lack one."""
    there = sorted({number for case in found.cases for number, _ in case.channels})
    chosen = tuple(there) if channels is None else channels
    if not (1 <= len(chosen) <= 3 and set(chosen) <= set(there)):
        known = dict(enumerate(found.channel_names))
        names = ", ".join(f"{number} {known.get(number, '')}".strip() for number in there)
        raise FileFormatError(
            f"the volumes have the channels {names}, and {len(chosen)} were asked for "
            f"({', '.join(map(str, chosen))}): expected one to three of them, to be shown as red, "
            f"green and blue; choose with channels={tuple(there[:3])}"
        )
    lacking = [case.name for case in found.cases if not _has(case, chosen)]
    if len(lacking) == len(found.cases):
        raise FileFormatError(f"no case has all of the channels {', '.join(map(str, chosen))}")
    note = f"Left out, {len(lacking)} that lack a channel: {listed(lacking)}."
    return chosen, [note] if lacking else []


def _has(case: Case, channels: tuple[int, ...]) -> bool:
    return set(channels) <= {number for number, _ in case.channels}


def _picked(case: Case, channels: tuple[int, ...]) -> Case:
    files = dict(case.channels)
    return replace(case, channels=tuple((number, files[number]) for number in channels))


def _files(case: Case) -> tuple[Path, ...]:
    return (*(path for _, path in case.channels), case.label)


def _grids(cases: Sequence[Case]) -> list[Grid]:
    """Where each case lies, all of its files in the same place; else one error names all cases."""
    grids, problems = [], []
    for case in cases:
        try:
            first, *others = (nifti.read_grid(path) for path in _files(case))
            name, *other_names = (path.name for path in _files(case))
            for other, other_name in zip(others, other_names, strict=True):
                nifti.check_aligned(first, other, (name, other_name))
            grids.append(first)
        except (ImageError, FileFormatError) as error:
            problems.append(f"{case.name}: {error}")
    if problems:
        raise FileFormatError(
            f"{len(problems)} of {len(cases)} volumes cannot be used (mend them, or take them "
            "away):\n" + "\n".join(f"  {problem}" for problem in problems)
        )
    return grids


def _class_names(found: Layout, cases: Sequence[Case], classes: tuple[str, ...]) -> tuple[str, ...]:
    if classes and found.classes and len(classes) != len(found.classes):
        raise FileFormatError(
            f"{len(classes)} classes were given ({', '.join(classes)}), dataset.json names "
            f"{len(found.classes)} ({', '.join(found.classes)}): expected as many"
        )
    if classes or found.classes:
        return classes or found.classes
    highest = max(int(nifti.read_labels(case.label).max()) for case in cases)
    return tuple(str(number) for number in range(1, highest + 1))


def _samples(root: Path, case: Case, grid: Grid, recipe: _Recipe) -> list[Sample]:
    relative = recipe.images[0].relative_to(root).as_posix()
    spacing = nifti.slice_spacing(grid, recipe.plane)
    return [
        Sample(
            id=f"{relative}#{index:04d}",
            group=case.group,
            files=_files(case),
            read=partial(_read_slice, recipe, index),
            split=case.split,
            volume=Volume(case.name, index, spacing),
        )
        for index in range(grid.shape[nifti.PLANES.index(recipe.plane)])
    ]


def _read_slice(recipe: _Recipe, index: int) -> Labelled:
    # a file that has changed has another stamp, and is read again
    pixels, labels = _RECENT.get((recipe, _stamps(recipe)), partial(_voxels, recipe))
    image, plane = pixels[index], labels[index]
    if image.shape[2] == 1:
        image = image.repeat(3, axis=2)
    image = np.pad(image, ((0, 0), (0, 0), (0, 3 - image.shape[2])))
    values = [int(value) for value in np.unique(plane) if value not in (0, recipe.ignore)]
    objects = Masks.from_arrays(plane == np.array(values, np.uint8)[:, None, None])
    named = replace(
        objects,
        label=np.array(values, np.int32),
        name=tuple(recipe.classes[value - 1] for value in values),
    )
    return Labelled(image, named, None if recipe.ignore is None else plane == recipe.ignore)


def _voxels(recipe: _Recipe) -> tuple[ByteArray, ByteArray]:
    """Greys (D, H, W, C) and labels (D, H, W) of a volume, both uint8."""
    greys = []
    for path in recipe.images:
        volume = nifti.read_voxels(path)
        ends = recipe.window.ends(volume)
        greys.append(to_bytes(nifti.slices(volume, recipe.plane), ends))
    labels = np.ascontiguousarray(nifti.slices(nifti.read_labels(recipe.label), recipe.plane))
    if labels.shape != greys[0].shape or any(grey.shape != greys[0].shape for grey in greys):
        raise FileFormatError(
            f"{recipe.images[0].name} and {recipe.label.name} no longer have as many voxels: "
            "expected the files as they were when the data was opened"
        )
    known = {*range(len(recipe.classes) + 1), recipe.ignore}
    unknown = [value for value in np.unique(labels).tolist() if value not in known]
    if unknown:
        raise FileFormatError(
            f"{recipe.label.name} has the label {unknown[0]}: expected 0 to {len(recipe.classes)}, "
            f"for the classes are {', '.join(recipe.classes) or 'none'}"
        )
    return np.stack(greys, axis=-1), labels


def _stamps(recipe: _Recipe) -> tuple[tuple[int, int], ...]:
    """Time and size of the files."""
    try:
        stats = [path.stat() for path in (*recipe.images, recipe.label)]
    except OSError as error:
        raise ImageError(f"{recipe.images[0].name} or its labels are gone: {error}") from error
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in stats)
