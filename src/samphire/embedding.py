"""What passes between the rooms: the embedded image, the decoder's answer, who made them.

Values only; ``engines/`` makes them, ``formats/embedding.py`` saves them, ``masks/decoded.py``
joins an answer with its frame.
"""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import FloatArray, IntArray, read_only, same_array
from samphire.errors import EmbeddingMismatchError, check_shape
from samphire.geometry import Frame


@dataclass(frozen=True)
class EngineInfo:
    """What an engine is.

    Attributes:
        model: name of the variant, for example ``vit_t``.
        preprocessing: id of its record in ``images/preprocessing.py``, for example ``sam-1024``.
        encoder_id: identity of the image encoder's weights: embeddings belong to it.
        base_id: identity of all weights: adapters belong to it.
        runtime: what computes, for example ``torch``.
        path: ``plain`` or ``fast``.
        device: for example ``cpu`` or ``cuda:0``.
        dtype: of the arithmetic, for example ``float32``.
        adapter: identity of the adapter that the model wears; empty without.
        classes: that ``classify`` finds, the background apart; none without an adapter for them.
        window: intensities that were black and white in the deep pictures that the adapter was
            tuned on, and so in all that it is given; None without one.
    """

    model: str
    preprocessing: str
    encoder_id: str
    base_id: str
    runtime: str
    path: str
    device: str
    dtype: str
    adapter: str = ""
    classes: tuple[str, ...] = ()
    window: tuple[float, float] | None = None

    def __str__(self) -> str:
        worn = f" with adapter {self.adapter[:8]}" if self.adapter else ""
        return f"{self.model}{worn} ({self.runtime} {self.path}, {self.device}, {self.dtype})"


@dataclass(frozen=True)
class EmbeddingKey:
    """What an embedding was made of; two embeddings with one key are interchangeable.

    Runtime and precision are left out on purpose: they change the last digits, not the meaning.

    Attributes:
        encoder_id: identity of the image encoder's weights.
        preprocessing: id of the preprocessing record.
        pixels: SHA-256 of the upright RGB pixels and their size.
    """

    encoder_id: str
    preprocessing: str
    pixels: str


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """One picture after the image encoder: the slow part, done once.

    Attributes:
        features: (1, 256, G, G) float32, read-only.
        frame: how the picture lies in the model's input.
        key: what it was made of.
        made_by: the engine, in words; recorded, not part of the key.
        image: what to call the picture in messages.
    """

    features: FloatArray
    frame: Frame
    key: EmbeddingKey
    made_by: str
    image: str = "the image"

    def __post_init__(self) -> None:
        check_shape(self.features, (1, "C", "G", "G"), "features")
        object.__setattr__(self, "features", read_only(self.features, np.float32))

    def __repr__(self) -> str:
        shape = "x".join(str(length) for length in self.features.shape)
        return f"ImageEmbedding({self.image}, {self.frame.original}, {shape}, {self.made_by})"

    def equal(self, other: "ImageEmbedding") -> bool:
        """Same key, frame and features."""
        return (
            self.key == other.key
            and self.frame == other.frame
            and same_array(self.features, other.features)
        )

    def check_made_for(self, info: EngineInfo) -> None:
        """Refuse an engine whose encoder or preprocessing did not make this embedding.

        Raises:
            EmbeddingMismatchError: the keys differ.
        """
        found = (self.key.encoder_id, self.key.preprocessing)
        if found != (info.encoder_id, info.preprocessing):
            raise EmbeddingMismatchError(
                f"the embedding of {self.image} was made by encoder {self.key.encoder_id[:12]} "
                f"with preprocessing {self.key.preprocessing} ({self.made_by}); {info.model} is "
                f"encoder {info.encoder_id[:12]} with {info.preprocessing}: embed the image again "
                "with this engine, or load the model that made it"
            )


@dataclass(frozen=True, eq=False)
class LowRes:
    """The decoder's answer for B objects with M candidates each, at low resolution.

    Attributes:
        logits: (K, S, S) float32, mask logits; K = B x M unless candidates were dropped.
        kept: (K, 2) int32, object and candidate of each row.
        predicted_iou: (B, M) float32, the model's own guess of every candidate's IoU; unbounded,
            values just above 1 occur.
    """

    logits: FloatArray
    kept: IntArray
    predicted_iou: FloatArray

    def __post_init__(self) -> None:
        check_shape(self.logits, ("K", "S", "S"), "logits")
        check_shape(self.kept, (len(self.logits), 2), "kept")
        check_shape(self.predicted_iou, ("B", "M"), "predicted_iou")
        object.__setattr__(self, "logits", read_only(self.logits, np.float32))
        object.__setattr__(self, "kept", read_only(self.kept, np.int32))
        object.__setattr__(self, "predicted_iou", read_only(self.predicted_iou, np.float32))

    def __repr__(self) -> str:
        objects, candidates = self.predicted_iou.shape
        return f"LowRes({len(self.logits)} of {objects} objects x {candidates} candidates)"

    def equal(self, other: "LowRes") -> bool:
        """The same rows with the same scores."""
        return (
            same_array(self.logits, other.logits)
            and same_array(self.kept, other.kept)
            and same_array(self.predicted_iou, other.predicted_iou)
        )

    @property
    def grid(self) -> FloatArray:
        """The logits as (B, M, S, S); only when no candidate was dropped."""
        objects, candidates = self.predicted_iou.shape
        if len(self.logits) != objects * candidates:
            raise ValueError(
                f"{len(self.logits)} of {objects * candidates} candidates were kept: "
                "use logits and kept"
            )
        return self.logits.reshape(objects, candidates, *self.logits.shape[1:])
