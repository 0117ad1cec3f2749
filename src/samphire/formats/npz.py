"""NumPy's own file: all columns exactly, quick to read, small. No pickles.

Run lengths of all masks lie one after the other in ``runs``; ``run_counts`` says how many each has.
Names are JSON in bytes. Read it with ``numpy.load`` or :func:`samphire.load_masks`.
"""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.errors import FileFormatError
from samphire.formats import records
from samphire.formats.format import Picture
from samphire.masks import Masks

VERSION = 1
COLUMNS: dict[str, type[np.generic]] = {
    "boxes": np.int32,
    "predicted_iou": np.float32,
    "stability": np.float32,
    "prompt_index": np.int32,
    "candidate": np.int32,
    "point": np.float64,
    "crop_box": np.int32,
    "parent": np.int32,
    "label": np.int32,
    "edited": np.bool_,
}
# NumPy would make one type of another without a word, 2**32 + 3 to the label 3.
TYPES = COLUMNS | {"run_counts": np.int64, "runs": np.uint32, "facts": np.uint8}
# What the arrays of a file may take together, unpacked.
MAX_BYTES = 1 << 31
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is written


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The one file."""
    facts = {
        "format": "samphire-masks",
        "version": VERSION,
        "image": {"width": masks.size.width, "height": masks.size.height, "name": picture.name},
        "names": list(masks.name),
    }
    arrays: dict[str, npt.NDArray[Any]] = {name: getattr(masks, name) for name in COLUMNS}
    arrays["run_counts"] = np.array([len(runs) for runs in masks.runs], np.int64)
    arrays["runs"] = np.concatenate([np.zeros(0, np.uint32), *masks.runs])
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _LONG_AGO)
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED)
    return [file.getvalue()]


def read(path: Path, image: str | None = None) -> Masks:
    """Read the file back.

    Args:
        path: of the file.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: it is no such file, of a newer version, or too large.
    """
    del image
    data = path.read_bytes()
    with records.reading(path, "the .npz that samphire writes"):
        arrays = _arrays(data)
        facts = json.loads(arrays["facts"].tobytes())
        if facts["format"] != "samphire-masks" or facts["version"] > VERSION:
            raise FileFormatError(
                f"{facts['format']!r} version {facts['version']}: this Samphire reads "
                f"'samphire-masks' up to {VERSION}; upgrade it"
            )
        counts = arrays["run_counts"]
        if (counts < 0).any() or counts.sum() != arrays["runs"].size:
            raise FileFormatError(f"run_counts that do not add up to {arrays['runs'].size} runs")
        runs = np.split(arrays["runs"], np.cumsum(counts)[:-1]) if len(counts) else []
        return Masks(
            size=records.image_size(facts["image"]),
            runs=tuple(runs),
            name=tuple(str(name) for name in facts["names"]),
            **{name: arrays[name] for name in COLUMNS},
        )


def _arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the file, if they are no more than they may be."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > MAX_BYTES:
                raise FileFormatError(f"{total} bytes unpacked: expected at most {MAX_BYTES}")
            arrays = {
                name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()
            }
    except FileFormatError:
        raise
    except Exception as error:  # zip, zlib and the header's parser raise what they like
        raise FileFormatError(f"no archive of arrays ({error})") from error
    for name, dtype in TYPES.items():
        if name not in arrays or arrays[name].dtype != dtype:
            found = f"{arrays[name].dtype}" if name in arrays else "nothing"
            raise FileFormatError(f"{found} as {name}: expected an array of {np.dtype(dtype)}")
    return arrays


def _array(content: bytes) -> npt.NDArray[Any]:
    """One array, which is as long as its header says; nothing is made before that is known."""
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    shape, column_major, dtype = np.lib.format.read_array_header_1_0(file)
    at, count = file.tell(), math.prod(shape)
    if column_major or dtype.hasobject or len(content) - at != count * dtype.itemsize:
        raise FileFormatError(f"an array of {shape} {dtype} in {len(content) - at} bytes")
    return np.frombuffer(content, dtype, count, at).reshape(shape)
