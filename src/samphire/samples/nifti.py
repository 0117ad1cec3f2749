"""NIfTI files as arrays in one orientation, headers apart from voxels.

Everything is turned to RAS first (first axis to the patient's right, second to the front, third
up), by flips and swaps alone: no voxel is ever interpolated. Not for finding files
(``volume_layouts.py``) or for greys (``window.py``).

Source: the NIfTI-1 standard; nibabel ``orientations``.
"""

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from samphire.arrays import ByteArray, FloatArray
from samphire.errors import FileFormatError, ImageError, MissingExtraError, SamphireError

Plane = Literal["sagittal", "coronal", "axial"]
# The axis of a volume in RAS that a stack of such slices runs along is the place in this list.
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
SUFFIXES = (".nii", ".nii.gz")

# A header claims any size in a few bytes; a whole body in 0.6 mm slices has half of these.
MAX_VOXELS = 1 << 30
MAX_LABEL = 255
# DEFLATE's best: no file holds more bytes than this times its size.
_GZIP_MOST = 1032
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie, after turning it to RAS.

    Attributes:
        shape: voxels along each axis.
        spacing: millimetres between them.
        affine: (4, 4) float64, from voxel numbers to millimetres.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    affine: FloatArray


def read_grid(path: Path) -> Grid:
    """The grid, from the header alone.

    Raises:
        ImageError: it is no NIfTI file, or not of one volume with a place in space.
        MissingExtraError: nibabel is not installed.
    """
    nibabel = _nibabel()
    with _explained(path):
        image = _opened(path)
        orientation = _orientation(image, path)
        shape = image.shape[:3]
        turned = image.affine @ nibabel.orientations.inv_ornt_aff(orientation, shape)
        turned[:3] *= _MILLIMETRES.get(image.header.get_xyzt_units()[0], 1.0)
        spacing = nibabel.affines.voxel_sizes(turned)
        order = np.argsort(orientation[:, 0])
        across, along, up = (int(shape[axis]) for axis in order)
        return Grid((across, along, up), tuple(spacing.tolist()), turned)


def read_voxels(path: Path) -> npt.NDArray[Any]:
    """The intensities (X, Y, Z) in RAS, in the type of the file or, where it scales, float32.

    Raises:
        ImageError: as ``read_grid``, or the voxels are damaged.
        MissingExtraError: nibabel is not installed.
    """
    nibabel = _nibabel()
    with _explained(path):
        image = _opened(path)
        orientation = _orientation(image, path)
        stored = image.dataobj
        scaled = (stored.slope, stored.inter) != (1, 0)
        values = np.asarray(stored, np.float32) if scaled else stored.get_unscaled()
        turned: npt.NDArray[Any] = nibabel.orientations.apply_orientation(
            values.reshape(values.shape[:3]), orientation
        )
        return turned


def read_labels(path: Path) -> ByteArray:
    """The classes (X, Y, Z) in RAS, uint8; whole numbers kept as floats are taken.

    Raises:
        ImageError: it cannot be read.
        FileFormatError: it holds anything but whole numbers from 0 to 255.
    """
    values = read_voxels(path)
    low, high = values.min(), values.max()
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    if not (whole and low >= 0 and high <= MAX_LABEL):
        raise FileFormatError(
            f"{path.name} holds {'' if whole else 'fractions, '}values from {low:g} to {high:g}: "
            f"expected the numbers of classes, whole and from 0 to {MAX_LABEL} (resampled labels? "
            "resample with nearest neighbours)"
        )
    return values.astype(np.uint8)


def encode_labels(labels: ByteArray, like: Path) -> bytes:
    """A gzipped NIfTI file of classes that lies where another volume lies, voxel on voxel.

    Args:
        labels: (X, Y, Z) uint8 in RAS, as ``read_voxels`` gives the other volume.
        like: its file.

    Raises:
        ImageError: the other file cannot be read, or has other voxels.
        MissingExtraError: nibabel is not installed.
    """
    nibabel = _nibabel()
    with _explained(like):
        image = _opened(like)
        orientation = _orientation(image, like)
        upright = nibabel.orientations.axcodes2ornt("RAS")
        back = nibabel.orientations.ornt_transform(upright, orientation)
        turned = nibabel.orientations.apply_orientation(labels, back)
        if turned.shape != image.shape[:3]:
            raise ImageError(
                f"the labels have {_times(turned.shape)} voxels, {like.name} has "
                f"{_times(image.shape[:3])}: expected as many"
            )
        header = image.header.copy()
        header.set_data_dtype(np.uint8)
        header["cal_min"] = header["cal_max"] = 0  # greys to show the intensities with
        made: bytes = nibabel.Nifti1Image(turned, image.affine, header).to_bytes()
    return gzip.compress(made, compresslevel=6, mtime=0)


def check_aligned(image: Grid, other: Grid, names: tuple[str, str]) -> None:
    """Refuse two files whose voxels do not lie in the same places.

    A corner may be off by a tenth of a voxel: headers round.

    Raises:
        FileFormatError: number, size or place of the voxels differ.
    """
    if image.shape != other.shape:
        raise FileFormatError(
            f"{names[0]} has {_times(image.shape)} voxels, {names[1]} has {_times(other.shape)}: "
            "expected the same (right, front, up)"
        )
    ends = [(0, length - 1) for length in image.shape]
    corners = np.array([(*corner, 1) for corner in product(*ends)])
    apart = np.linalg.norm(corners @ (image.affine - other.affine)[:3].T, axis=1).max()
    if apart > min(image.spacing) / 10:
        raise FileFormatError(
            f"{names[0]} and {names[1]} lie up to {apart:.3g} mm apart in space: expected the same "
            "place (if the voxels do belong together, copy the image's affine into the other)"
        )


def widest_plane(grid: Grid) -> Plane:
    """The plane that was scanned: its slices are farthest apart; where all are equal, axial."""
    widest = max(grid.spacing) * (1 - 1e-3)
    return PLANES[max(axis for axis in range(3) if grid.spacing[axis] >= widest)]


def slices(volume: npt.NDArray[Any], plane: Plane) -> npt.NDArray[Any]:
    """A volume (X, Y, Z) in RAS as its slices (D, H, W), upright as radiologists hang them: a view.

    Rows run down the patient (axial: from front to back), columns from the patient's right to the
    left (sagittal: from front to back); slices run along RAS.
    """
    moved = np.moveaxis(volume, PLANES.index(plane), 0)
    return np.flip(moved, (1, 2)).swapaxes(1, 2)


def unslice(stacked: npt.NDArray[Any], plane: Plane) -> npt.NDArray[Any]:
    """What ``slices`` made, (D, H, W), as a volume (X, Y, Z) in RAS again: a view.

    >>> volume = np.arange(24).reshape(2, 3, 4)
    >>> all((unslice(slices(volume, plane), plane) == volume).all() for plane in PLANES)
    True
    """
    moved = np.flip(stacked.swapaxes(1, 2), (1, 2))
    return np.moveaxis(moved, 0, PLANES.index(plane))


def slice_spacing(grid: Grid, plane: Plane) -> tuple[float, float, float]:
    """Millimetres between the slices, rows and columns of ``slices``."""
    between = PLANES.index(plane)
    columns, rows = (axis for axis in range(3) if axis != between)
    return grid.spacing[between], grid.spacing[rows], grid.spacing[columns]


def _nibabel() -> ModuleType:
    try:
        import nibabel  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError(
            "NIfTI volumes are read by nibabel, which is not installed: "
            "pip install 'samphire[medical]'"
        ) from error
    return nibabel


def _opened(path: Path) -> Any:  # noqa: ANN401 - nibabel's image, whose types promise too little
    """The file with its header read and found plausible, its voxels not yet."""
    image: Any = _nibabel().load(path)
    shape, dtype = image.shape, image.get_data_dtype()
    if len(shape) < 3 or 0 in shape or math.prod(shape[3:]) != 1:
        raise ImageError(
            f"{path.name} has {_times(shape)} voxels: expected one volume of three axes (split "
            "channels or times into a file each: CASE_0000.nii.gz, CASE_0001.nii.gz)"
        )
    if dtype.kind not in "iuf":
        raise ImageError(f"{path.name} holds {dtype} voxels: expected integers or floats")
    voxels = math.prod(shape)
    if voxels > MAX_VOXELS:
        raise ImageError(
            f"{path.name} has {_times(shape)} voxels, {voxels:.2g}: expected at most "
            f"{MAX_VOXELS:.2g} (cut the volume)"
        )
    if voxels * dtype.itemsize > path.stat().st_size * _GZIP_MOST:
        raise ImageError(
            f"{path.name} is damaged: its header tells of {_times(shape)} voxels, which a file of "
            f"{path.stat().st_size} bytes cannot hold"
        )
    return image


def _orientation(image: Any, path: Path) -> FloatArray:  # noqa: ANN401 - as above
    affine = image.affine
    if not (np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0):
        raise ImageError(
            f"{path.name} has an affine that gives its voxels no place in space: expected an "
            "invertible one (set qform or sform)"
        )
    found: FloatArray = _nibabel().orientations.io_orientation(affine)
    return found


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what nibabel and the decompressors raise into an ImageError that names the file."""
    try:
        yield
    except SamphireError:
        raise
    except Exception as error:  # header, gzip, zlib and NumPy raise what they like
        said = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path.name} cannot be read as NIfTI: {said}") from error
