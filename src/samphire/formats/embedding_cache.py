"""Embeddings kept on disk under their keys, so that no picture is encoded twice.

What ``cache=`` of ``samphire.embed`` takes. Not for files that a person keeps or hands on:
``embedding.py``.
"""

import functools
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from samphire.cache import DEFAULT_MAX_BYTES, Cache
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.errors import FileFormatError
from samphire.formats import embedding as embedding_file

logger = logging.getLogger(__name__)

NAMELESS = "the image"


class EmbeddingCache:
    """Embeddings in a folder that several processes may share.

    Args:
        folder: for these files alone; made when something is first kept.
        max_bytes: the most that they take; those used longest ago go first.
    """

    def __init__(self, folder: str | Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.files = Cache(Path(folder), max_bytes)

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """The embedding with this key, its features mapped from the file; None if not here.

        A file that is damaged, or of another version, is removed and counts as not here.
        """
        name = file_name(key)
        data = self.files.read(name)
        if data is None:
            return None
        try:
            found = embedding_file.decode(data, name)
        except FileFormatError as error:
            logger.info("removed from the cache: %s", error)
            self.files.discard(name)
            return None
        if found.key != key:
            logger.info("removed from the cache: %s holds another key", name)
            self.files.discard(name)
            return None
        return found

    def put(self, embedding: ImageEmbedding) -> None:
        """Keep an embedding; a folder that cannot be written is told once and changes nothing.

        The picture's name is left out: the key is its pixels, and two files may hold the same.
        """
        data = embedding_file.encode(replace(embedding, image=NAMELESS))
        try:
            self.files.write(file_name(embedding.key), data)
        except OSError as error:
            _warn(self.files.folder, str(error))

    def __contains__(self, key: EmbeddingKey) -> bool:
        return file_name(key) in self.files


def file_name(key: EmbeddingKey) -> str:
    """The name of the file of a key: the SHA-256 of its parts.

    >>> file_name(EmbeddingKey("e" * 64, "sam-1024", "p" * 64))[:12]
    '279bcdd15bfb'
    """
    parts = "\n".join((key.encoder_id, key.preprocessing, key.pixels))
    return f"{hashlib.sha256(parts.encode()).hexdigest()}.embedding.safetensors"


@functools.cache  # once a folder and reason, not once an image
def _warn(folder: Path, reason: str) -> None:
    logger.warning(
        "embeddings cannot be kept in %s (%s): pictures will be encoded again; free some space, "
        "or set SAMPHIRE_CACHE to a folder that can be written",
        folder,
        reason,
    )
