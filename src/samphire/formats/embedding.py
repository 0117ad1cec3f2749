"""Saved image embeddings: one safetensors file, refused where it does not fit.

The features stand in the tensor ``features``; the key, the sizes, the maker and a digest of all of
it in the metadata. The frame is not trusted from the file: it is made again from the preprocessing
record, whose rule must give the sizes that the file says. Version 1 had no digest and is refused.

The reader is our own, for this one layout: the library's gives no metadata from bytes, and copies
the features, which the cache wants mapped.
"""

import hashlib
import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from samphire import atomic
from samphire.arrays import FloatArray
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.errors import FileFormatError, SamphireError, check_shape
from samphire.geometry import Frame, Size
from samphire.images.preprocessing import Preprocessing, preprocessing

FORMAT, VERSION = "samphire-embedding", "2"
# A file holds one embedding of some MB and a header of a kB; more is not ours.
MAX_BYTES, MAX_HEADER_BYTES = 1 << 28, 1 << 16
# Masks are made at the size that a file says: what no picture has is not believed. A side: float32
# coordinates of pixels are exact up to here. Pixels: as many as a mask's PNG may have, ten times
# what read_image takes unless asked for more.
MAX_SIDE, MAX_PIXELS = 1 << 24, 1 << 30


def encode(embedding: ImageEmbedding) -> bytes:
    """The bytes of an embedding's file; the same embedding gives the same bytes."""
    original, resized = embedding.frame.original, embedding.frame.resized
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "samphire": version("samphire"),
        "encoder_id": embedding.key.encoder_id,
        "preprocessing": embedding.key.preprocessing,
        "pixels": embedding.key.pixels,
        "original_size": f"{original.height} {original.width}",
        "resized_size": f"{resized.height} {resized.width}",
        "made_by": embedding.made_by,
        "image": embedding.image,
    }
    metadata["digest"] = _digest(metadata, embedding.features)
    return save({"features": embedding.features}, metadata)


def decode(data: bytes | memoryview, name: str = "the file") -> ImageEmbedding:
    """The embedding of a file's bytes; its features lie in them, they are not copied.

    Args:
        data: all of the file; must not change as long as the embedding lives.
        name: what to call it in messages.

    Raises:
        FileFormatError: it is not an embedding, damaged, or of a newer version.
    """
    try:
        features, metadata = _parse(data, name)
        if metadata["version"] != VERSION:
            raise FileFormatError(
                f"{name} is version {metadata['version']} of {FORMAT}: this Samphire reads "
                f"{VERSION}; upgrade it, or embed the image again"
            )
        record = preprocessing(metadata["preprocessing"])
        sizes = _size(metadata["original_size"]), _size(metadata["resized_size"])
        grid = record.low_res_side // 4
        check_shape(features, (1, "C", grid, grid), "features")
        embedding = ImageEmbedding(
            features=features,
            frame=_frame(record, *sizes),
            key=EmbeddingKey(metadata["encoder_id"], record.id, metadata["pixels"]),
            made_by=metadata["made_by"],
            image=metadata["image"],
        )
        if metadata["digest"] != _digest(metadata, features):
            raise FileFormatError(
                f"{name} is damaged (its digest is another): embed the image again"
            )
        return embedding
    except FileFormatError:
        raise
    except (KeyError, ValueError, TypeError, ArithmeticError, SamphireError) as error:
        raise _not_one(name, f"{type(error).__name__}: {error}") from error


def save_embedding(embedding: ImageEmbedding, path: str | Path) -> None:
    """Write an embedding to a file, whole or not at all; a file of that name is replaced.

    Raises:
        FileFormatError: the picture is larger than a file may say, or was resized by another rule.
        OSError: the file cannot be written.
    """
    frame = embedding.frame
    try:
        _frame(preprocessing(embedding.key.preprocessing), frame.original, frame.resized)
    except ValueError as error:
        raise FileFormatError(f"{path} cannot hold this embedding: {error}") from error
    atomic.write_bytes(Path(path), encode(embedding))


def load_embedding(path: str | Path) -> ImageEmbedding:
    """Read an embedding; whether it fits an engine is checked where it is used.

    Raises:
        FileFormatError: the file is not an embedding, damaged, or of a newer version.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return decode(data, str(path))


def _parse(data: bytes | memoryview, name: str) -> tuple[FloatArray, dict[str, str]]:
    """Features and metadata of a safetensors file that holds ``features`` and nothing else.

    Source: the layout in safetensors' README: eight bytes for the length of the header, the
    header in JSON, then the tensors without a gap.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8) or len(data) > MAX_BYTES:
        raise _not_one(name, "it is no safetensors file, or cut short")
    try:
        header = json.loads(bytes(data[8 : 8 + length]))
    except (ValueError, RecursionError) as error:
        raise _not_one(name, "its header is not JSON") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format", "no format name") if isinstance(metadata, dict) else header
        raise FileFormatError(f"{name} holds {found!r}: expected {FORMAT!r}")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise _not_one(name, "its metadata are not all texts")
    return _features(header, data[8 + length :], name), metadata


def _features(header: dict[str, Any], tensors: bytes | memoryview, name: str) -> FloatArray:
    entry = header["features"]
    dtype, shape = entry["dtype"], entry["shape"]
    if dtype != "F32":
        raise FileFormatError(f"{name} holds {dtype} features: expected F32")
    if not all(type(side) is int and side > 0 for side in shape):
        raise _not_one(name, f"its features have the shape {shape}")
    expected = 4 * math.prod(shape)
    whole = entry["data_offsets"] == [0, expected] and len(tensors) == expected
    if not whole or header.keys() != {"__metadata__", "features"}:
        raise _not_one(name, f"expected {expected} bytes of features and nothing else")
    values: FloatArray = np.frombuffer(tensors, np.dtype("<f4")).reshape(shape)
    return values if values.flags.aligned else values.copy()


def _digest(metadata: dict[str, str], features: FloatArray) -> str:
    """SHA-256 of everything else in the file."""
    rest = {key: value for key, value in metadata.items() if key != "digest"}
    digest = hashlib.sha256(json.dumps([rest, features.shape], sort_keys=True).encode())
    digest.update(np.ascontiguousarray(features, "<f4").data)
    return digest.hexdigest()


def _not_one(name: str, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{name} is not an image embedding ({reason}): expected a file that save_embedding wrote"
    )


def _size(text: str) -> Size:
    height, width = text.split()
    return Size(int(height), int(width))


def _frame(record: Preprocessing, original: Size, resized: Size) -> Frame:
    """The frame of a picture, where both of its sizes can be believed."""
    longest, pixels = max(original.height, original.width), original.height * original.width
    if longest > MAX_SIDE or pixels > MAX_PIXELS:
        raise ValueError(
            f"its picture is {original}: expected sides of at most {MAX_SIDE} and at most "
            f"{MAX_PIXELS} pixels"
        )
    frame = record.frame(original)
    if frame.resized != resized:
        raise ValueError(
            f"its picture, {original}, is resized to {resized}: expected {frame.resized}, the "
            f"rule of {record.id}"
        )
    return frame
