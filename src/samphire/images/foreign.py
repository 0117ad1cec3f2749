"""What a file is that no decoder opens: said in the error, with what to do about it.

Not for damage that shows while decoding (``png.py``, ``jpeg.py``, the decoders themselves).
"""

from typing import BinaryIO

_NIFTI = (
    "NIfTI volume (take a slice out with nibabel and hand it over as an array; labelled volumes "
    "are read by samphire tune, evaluate and data check)"
)
# Where a mark stands, the mark, and what begins like that: files that are no pictures, ...
_FOREIGN = (
    (0, b"version https://git-lfs", "a Git LFS pointer (run git lfs pull)"),
    (0, b"<!doctype html", "a web page (download the picture itself)"),
    (0, b"<html", "a web page (download the picture itself)"),
    (0, b"<svg", "an SVG drawing (export it as PNG)"),
    (0, b"%pdf", "a PDF (export the page as PNG)"),
    (0, b"pk\x03\x04", "a ZIP archive (unpack it)"),
    (0, b"pk\x05\x06", "a ZIP archive (unpack it)"),
    (0, b"\x1f\x8b", "a gzip archive (unpack it)"),
    (0, b"8bps", "a Photoshop file (export it as PNG or TIFF)"),
    (0, b"\x89hdf", "an HDF5 file (read it with h5py and hand over an array)"),
    (0, b"\x93numpy", "a NumPy file (load it and hand over the array)"),
    (128, b"dicm", "a DICOM file (read it with pydicom and hand over its pixels as an array)"),
    (344, b"n+1\0", f"a {_NIFTI}"),
    (344, b"ni1\0", f"a {_NIFTI}"),
    (4, b"ftyphe", "an HEIC photo (save it as JPEG or PNG)"),
    (4, b"ftypmif1", "an HEIC photo (save it as JPEG or PNG)"),
)
# ... and pictures that are damaged, or they would have been opened.
_DAMAGED = (
    (0, b"\x89png", "PNG"),
    (0, b"\xff\xd8", "JPEG"),
    (0, b"gif8", "GIF"),
    (0, b"ii*\0", "TIFF"),
    (0, b"mm\0*", "TIFF"),
    (8, b"webp", "WEBP"),
    (4, b"ftypavi", "AVIF"),
    (4, b"jp  \r\n", "JPEG2000"),
    (0, b"bm", "BMP"),
)
_LONGEST = 352


def not_opened(file: BinaryIO, name: str, formats: tuple[str, ...]) -> str:
    """The message for a file that no decoder knows.

    Args:
        file: at any position.
        name: of the file.
        formats: that are read.
    """
    file.seek(0)
    head = file.read(_LONGEST)
    if head.startswith(b"\x1f\x8b") and name.lower().endswith(".nii.gz"):
        return f"{name} is a {_NIFTI}: expected {', '.join(formats)}"
    small = head.lstrip(b" \t\r\n\xef\xbb\xbf").lower() if head[:1] != b"\0" else head.lower()
    for at, mark, kind in _DAMAGED:
        if small.startswith(mark, at):
            return f"{name} is damaged: it begins like {kind}, but is cut short or changed"
    expected = f"expected {', '.join(formats)}"
    for at, mark, kind in _FOREIGN:
        if small.startswith(mark, at):
            return f"{name} is {kind}: {expected}"
    found = f"it begins with {head[:16]!r}" if head else "it is empty"
    return f"{name} is not an image that can be read here, {found}: {expected}"
