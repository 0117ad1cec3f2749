"""What every runtime offers: an :class:`Engine` encodes, a :class:`Session` decodes prompts.

Arrays are NumPy's on both sides, so nothing above knows which library computes. Not for choosing
a runtime (``load.py``).
"""

from typing import Protocol

from samphire.arrays import FloatArray
from samphire.embedding import EngineInfo, ImageEmbedding, LowRes
from samphire.prompts import InputPrompts


class Session(Protocol):
    """One embedded picture, ready for prompts: immutable, to be shared between threads."""

    def decode(
        self,
        prompts: InputPrompts,
        *,
        multimask: bool,
        min_predicted_iou: float | None = None,
    ) -> LowRes:
        """Low-resolution mask logits for B objects.

        Args:
            prompts: of equal length, in the input frame; no prompt at all is legal.
            multimask: True for mask tokens 1 to 3, False for token 0 alone.
            min_predicted_iou: drop candidates whose predicted IoU is not above it.

        Raises:
            NonFiniteError: the model gave NaN or infinity.
        """
        ...

    def classify(self) -> FloatArray:
        """Low-resolution logits (C + 1, 4G, 4G) of the background and of each of ``info.classes``.

        Raises:
            AdapterError: the engine wears no adapter with classes.
            NonFiniteError: the model gave NaN or infinity.
        """
        ...


class Engine(Protocol):
    """A model on a device."""

    @property
    def info(self) -> EngineInfo:
        """What it is."""
        ...

    @property
    def encode_bytes(self) -> int:
        """Memory that encoding one picture takes while it runs, about, beyond the weights."""
        ...

    def encode(self, pixels: FloatArray) -> FloatArray:
        """Image embeddings (B, 256, G, G) float32 of pixels (B, 3, S, S) float32, normalised."""
        ...

    def session(self, embedding: ImageEmbedding) -> Session:
        """The session of an embedding: kept for a while, so asking again is cheap.

        Raises:
            EmbeddingMismatchError: another model made the embedding.
        """
        ...
