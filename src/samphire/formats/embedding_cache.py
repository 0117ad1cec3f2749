"""Embeddings kept on disk under their keys, so that no picture is encoded twice.

    embedding = samphire.embed(engine, "photo.jpg", cache=samphire.EmbeddingCache())

Not for files that a person keeps or hands on:
``embedding.py``.
"""

import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path

from samphire.cache import DEFAULT_MAX_BYTES, Cache, cache_dir, parse_bytes, shown_bytes
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.errors import FileFormatError
from samphire.formats import embedding as embedding_file

logger = logging.getLogger(__name__)

MAX_BYTES_VARIABLE = "SAMPHIRE_MAX_CACHE"
NAMELESS = "the image"


class EmbeddingCache:
    """Embeddings in a folder that several processes may share.

    Args:
        folder: made when something is first kept; by default the one that the command line uses,
            ``embeddings`` in the cache folder (``samphire models where`` prints it).
        max_bytes: the most that they take, those used longest ago go first; by default what the
            environment variable SAMPHIRE_MAX_CACHE says, for example 50GB, or else 10 GB.

    Attributes:
        files: where the bytes are.
        hits: how many embeddings were found here.

    Raises:
        ValueError: ``max_bytes``, or SAMPHIRE_MAX_CACHE, is not a number of bytes above 0.
    """

    def __init__(self, folder: str | Path | None = None, max_bytes: int | None = None) -> None:
        if max_bytes is None:
            chosen = os.environ.get(MAX_BYTES_VARIABLE)
            max_bytes = parse_bytes(chosen) if chosen else DEFAULT_MAX_BYTES
        self.files = Cache(shared_folder() if folder is None else Path(folder), max_bytes)
        self.hits = 0
        self._told = ""

    def in_words(self) -> str:
        """Where it is, and how full."""
        used, most = shown_bytes(self.files.used_bytes()), shown_bytes(self.files.max_bytes)
        return f"{self.files.folder}, {used} of at most {most}"

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
            if found.key != key:
                raise FileFormatError(f"{name} holds another embedding")
        except FileFormatError as error:
            logger.info("removed from the cache: %s", error)
            self.files.discard(name)
            return None
        self.hits += 1
        return found

    def put(self, embedding: ImageEmbedding) -> None:
        """Keep an embedding; a folder that cannot be written is told once and changes nothing.

        The picture's name is left out: the key is its pixels, and two files may hold the same.
        """
        data = embedding_file.encode(replace(embedding, image=NAMELESS))
        try:
            if not self.files.write(file_name(embedding.key), data):
                self._tell(
                    f"no room for {shown_bytes(len(data))} in {shown_bytes(self.files.max_bytes)}"
                )
        except OSError as error:
            self._tell(error.strerror or str(error))

    def _tell(self, reason: str) -> None:
        """Warn, once a reason and not once a picture."""
        if reason != self._told:
            logger.warning(
                "embeddings cannot be kept in %s (%s): pictures will be encoded again; free some "
                "space, or set SAMPHIRE_CACHE to a folder that can be written",
                self.files.folder,
                reason,
            )
        self._told = reason


def shared_folder() -> Path:
    """Where every command and program of this user keeps embeddings."""
    return cache_dir() / "embeddings"


def file_name(key: EmbeddingKey) -> str:
    """The name of the file of a key: the SHA-256 of its parts.

    >>> file_name(EmbeddingKey("e" * 64, "sam-1024", "p" * 64))[:12]
    '279bcdd15bfb'
    """
    parts = "\n".join((key.encoder_id, key.preprocessing, key.pixels))
    return f"{hashlib.sha256(parts.encode()).hexdigest()}.embedding.safetensors"
