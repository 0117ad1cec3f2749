"""Saved image embeddings: one safetensors file, refused where it does not fit.

The features stand in the tensor ``features``; the key, the sizes and the maker in the metadata.
The frame is not trusted from the file: it is made again from the preprocessing record.
"""

from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from samphire import atomic
from samphire.arrays import FloatArray
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.errors import FileFormatError, SamphireError, check_shape
from samphire.geometry import Size
from samphire.images.preprocessing import preprocessing

FORMAT, VERSION = "samphire-embedding", "1"


def save_embedding(embedding: ImageEmbedding, path: str | Path) -> None:
    """Write an embedding to a file, whole or not at all; a file of that name is replaced.

    Raises:
        OSError: the file cannot be written.
    """
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
    atomic.write_bytes(Path(path), save({"features": embedding.features}, metadata))


def load_embedding(path: str | Path) -> ImageEmbedding:
    """Read an embedding; whether it fits an engine is checked where it is used.

    Raises:
        FileFormatError: the file is not an embedding, damaged, or of a newer version.
        OSError: the file cannot be read.
    """
    try:
        features, metadata = _open(Path(path))
        if metadata["version"] != VERSION:
            raise FileFormatError(
                f"{path} is version {metadata['version']} of {FORMAT}: this Samphire reads "
                f"{VERSION}; upgrade it, or embed the image again"
            )
        record = preprocessing(metadata["preprocessing"])
        frame = record.frame(_size(metadata["original_size"]), _size(metadata["resized_size"]))
        grid = record.low_res_side // 4
        check_shape(features, (1, "C", grid, grid), "features")
        return ImageEmbedding(
            features=features,
            frame=frame,
            key=EmbeddingKey(metadata["encoder_id"], record.id, metadata["pixels"]),
            made_by=metadata["made_by"],
            image=metadata["image"],
        )
    except FileFormatError:
        raise
    except (KeyError, ValueError, SafetensorError, SamphireError) as error:
        raise FileFormatError(
            f"{path} is not an image embedding ({type(error).__name__}: {error}): expected a file "
            "that save_embedding wrote"
        ) from error


def _open(path: Path) -> tuple[FloatArray, dict[str, str]]:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise FileFormatError(
                f"{path} holds {metadata.get('format', 'no format name')!r}: expected {FORMAT!r}"
            )
        dtype = file.get_slice("features").get_dtype()
        if dtype != "F32":
            raise FileFormatError(f"{path} holds {dtype} features: expected F32")
        return file.get_tensor("features"), metadata


def _size(text: str) -> Size:
    height, width = text.split()
    return Size(int(height), int(width))
