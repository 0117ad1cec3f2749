"""The part of the encoder that no step changes: run once a picture, kept, and mapped from disk.

    pixels -> [frozen part, kept] -> tokens -> [the rest, with gradients] -> embedding

Where it ends follows from what trains (``adapters.sites.first_trained``): with the decoder alone it
is the whole encoder, with an adapter in the last blocks all blocks before them, with one in every
block nothing. The key is the content: encoder, preprocessing, upright pixels, place; so a mirrored
picture is a picture of its own. Source of the idea: the frozen part needs no activations either,
which is what late placement saves.
"""

import hashlib
import io

import numpy as np
import torch

from samphire.adapters import Adapted
from samphire.adapters.sites import Cut, encoder_of, first_trained
from samphire.arrays import ByteArray, FloatArray
from samphire.cache import Cache
from samphire.embedding import EmbeddingKey, EngineInfo, ImageEmbedding
from samphire.errors import AdapterError
from samphire.geometry import Frame, Size
from samphire.images.preprocessing import preprocessing
from samphire.images.read import pixels_id
from samphire.model.sam import Sam

SUFFIX = ".tokens.npy"


class FrozenEncoder:
    """An image encoder in two parts.

    Args:
        adapted: the model that trains.
        base: what the model is, without its adapter.
        cache: where the first part's results are kept; None: they are computed each time.

    Attributes:
        cut: where the first part ends.
        encoded: pictures that the first part was run on.
    """

    def __init__(self, adapted: Adapted, base: EngineInfo, cache: Cache | None) -> None:
        self.cut = first_trained(adapted.base, adapted.learning_rates)
        self.encoded = 0
        self._adapted = adapted
        self._base = base
        self._cache = cache
        self._device = next(adapted.base.parameters()).device

    def tokens(self, image: ByteArray) -> tuple[torch.Tensor, Frame]:
        """What the first part makes of a picture (H, W, 3) uint8, and how it lies in the input."""
        record = preprocessing(self._base.preprocessing)
        if self._cache is None or self.cut == "pixels":
            pixels, frame = record.apply(image)
            return self._first(torch.from_numpy(pixels)), frame
        frame = record.frame(Size(*image.shape[:2]))
        name = self._key(image)
        found = _decode(self._cache.read(name))
        if found is None:
            pixels, _ = record.apply(image)
            found = self._first(torch.from_numpy(pixels)).cpu().numpy()
            self._cache.write(name, _encode(found))
        # a copy: torch takes no read-only memory, and a step must not depend on the disk
        return torch.tensor(found, device=self._device), frame

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """The second part: :meth:`tokens` -> image embedding (1, 256, G, G), differentiable."""
        return second_part(self._adapted.module, tokens, self.cut)

    def embedding(self, image: ByteArray, worn: EngineInfo) -> ImageEmbedding:
        """The embedding of a picture by the model as it is now, for the engine that wears it."""
        tokens, frame = self.tokens(image)
        with torch.inference_mode():
            features = self.features(tokens).float().cpu().numpy()
        key = EmbeddingKey(worn.encoder_id, worn.preprocessing, pixels_id(image))
        return ImageEmbedding(features=features, frame=frame, key=key, made_by=str(worn))

    def _first(self, pixels: torch.Tensor) -> torch.Tensor:
        pixels = pixels.to(self._device)
        if self.cut == "pixels":
            return pixels
        self.encoded += 1
        base = self._adapted.base
        with torch.no_grad():
            if isinstance(self.cut, str):
                return base.encode(pixels)
            # in the order of the file, so that kept and computed ones lead to the same bits
            return encoder_of(base).encode_until(pixels, self.cut).contiguous()

    def _key(self, image: ByteArray) -> str:
        parts = (self._base.encoder_id, self._base.preprocessing, pixels_id(image), str(self.cut))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() + SUFFIX


def second_part(sam: Sam, tokens: torch.Tensor, cut: Cut) -> torch.Tensor:
    """What goes into the encoder at ``cut`` -> embedding (1, 256, G, G).

    Raises:
        AdapterError: something that trains lies before the cut, so the tokens would be stale.
    """
    trained = [name for name, value in sam.named_parameters() if value.requires_grad]
    starts = first_trained(sam, trained)
    if _place(starts) < _place(cut):
        raise AdapterError(
            f"kept tokens end at {cut}, and the adapter begins at {starts}: what was kept does not "
            "hold it; keep less, or place the adapter later"
        )
    if isinstance(cut, int):
        return encoder_of(sam).encode_from(tokens, cut)
    return tokens if cut == "embedding" else sam.encode(tokens)


def _place(cut: Cut) -> float:
    """For comparing two places."""
    return {"pixels": -1.0, "embedding": float("inf")}[cut] if isinstance(cut, str) else cut


def _encode(tokens: FloatArray) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(tokens), allow_pickle=False)
    return file.getvalue()


def _decode(data: memoryview | None) -> FloatArray | None:
    """The array of a file, in the memory that is mapped; None for one that is damaged."""
    if data is None:
        return None
    try:
        file = io.BytesIO(data[:256])
        np.lib.format.read_magic(file)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        if by_columns:
            return None
        tokens: FloatArray = np.frombuffer(data, dtype, offset=file.tell()).reshape(shape)
    except ValueError:
        return None
    return tokens
