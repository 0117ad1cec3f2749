"""The published model in PyTorch: plain, which every other engine is measured against, or fast.

The fast path gives the same answers sooner (``fast_path.py``). Not for loading weights
(``load.py``) and not for training: the arithmetic runs in inference mode.
"""

import threading
from collections import OrderedDict
from functools import cached_property

import numpy as np
import torch

from samphire.adapters.semantic import SemanticHead
from samphire.arrays import FloatArray, IntArray
from samphire.embedding import EngineInfo, ImageEmbedding, LowRes
from samphire.engines.fast_path import EnginePath, fast_sam
from samphire.errors import AdapterError, EngineUnavailableError, NonFiniteError, check_shape
from samphire.fast.mask_decoder import FastDecoder, SharedImage
from samphire.images.window import fixed_ends
from samphire.model.image_encoder import Attention, ImageEncoderViT
from samphire.model.sam import Sam
from samphire.prompts import InputPrompts
from samphire.weights.adapter_file import AdapterFile
from samphire.weights.identity import base_id, encoder_id

# Sessions kept: a 1024-pixel picture's features take 4 MB twice, so this is some 30 pictures.
SESSION_BYTES = 256 * 2**20

# Objects in one call of the decoder on a CPU: each works on 4 MB of image tokens, and more of them
# than the cache holds take longer, and gigabytes at 64. A GPU takes what it is given.
CPU_OBJECTS = 4

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """A :class:`~samphire.model.sam.Sam` as an Engine.

    Args:
        module: moved to the device and put into eval mode (TinyViT's batch norms need it).
        model: name of the variant, for messages.
        preprocessing: id of the record the model was trained with.
        device: as torch names it, or ``auto``: CUDA where it is, else the CPU.
        dtype: of the image encoder's arithmetic: ``float32``, ``bfloat16`` or ``float16``. The
            weights stay float32, as do the decoder, which costs little and places edges, and
            all that is given and taken.
        path: ``plain`` runs ``module`` itself; ``auto`` what is compiled of it where that can be
            (float32 on a CPU), with the weights that it has when a picture or a prompt first
            comes; ``fast`` refuses where ``auto`` would leave a part plain.
        identity: ``(encoder_id, base_id)`` where they are known; else computed on first use.

    Raises:
        EngineUnavailableError: the device is not here, the dtype is not offered, or there is no
            such path for this model.
    """

    def __init__(
        self,
        module: Sam,
        *,
        model: str = "a bare module",
        preprocessing: str = "sam-1024",
        device: str = "cpu",
        dtype: str = "float32",
        path: EnginePath = "plain",
        identity: tuple[str, str] | None = None,
    ) -> None:
        self.device = _device(device)
        self._dtype = _dtype(dtype)
        self.module = module.to(self.device).eval()
        self._path = path
        self._fast = fast_sam(self.module, path, self.device, self._dtype)
        self._model = model
        self._preprocessing = preprocessing
        self._identity = identity
        self._head: SemanticHead | None = None
        self._adapter = ""
        self._classes: tuple[str, ...] = ()
        self._window: tuple[float, float] | None = None
        self._sessions: OrderedDict[int, TorchSession] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def info(self) -> EngineInfo:
        """What it is; the first call on a bare module hashes its weights."""
        encoder, base = self._identity or _identity(self.module)
        return EngineInfo(
            model=self._model,
            preprocessing=self._preprocessing,
            encoder_id=encoder,
            base_id=base,
            runtime="torch",
            path=self._runs,
            device=str(self.device),
            dtype=str(self._dtype).removeprefix("torch."),
            adapter=self._adapter,
            classes=self._classes,
            window=self._window,
        )

    def wearing(self, adapter: AdapterFile, name: str = "the adapter") -> "TorchEngine":
        """An engine of the same model with an adapter; this one stays as it is.

        Both share the frozen weights, so that many adapters stand on one model.

        Args:
            adapter: trained on this model.
            name: what to call it in messages.

        Raises:
            AdapterError: it belongs to another model, or this one wears one already.
        """
        info = self.info
        if info.adapter:
            raise AdapterError(f"{info} wears an adapter: put {name} on the model without one")
        adapter.check_fits(
            base=info.model, base_id=info.base_id, preprocessing=info.preprocessing, name=name
        )
        adapted = adapter.adaptation.apply(self.module)
        adapted.load(adapter.tensors)
        engine = TorchEngine(
            adapted.module,
            model=info.model,
            preprocessing=info.preprocessing,
            device=info.device,
            dtype=info.dtype,
            path=self._path,
            identity=(adapter.encoder_id(info.encoder_id), info.base_id),
        )
        engine._head = adapted.head
        engine._adapter, engine._classes = adapter.id, adapter.adaptation.classes
        engine._window = fixed_ends(adapter.window)
        return engine

    @property
    def _runs(self) -> str:
        """``plain``, ``fast``, or ``mixed``: fast but for some parts."""
        if self._fast is None:
            return "plain"
        return "mixed" if self._fast.plain_parts else "fast"

    @property
    def plain_parts(self) -> tuple[str, ...]:
        """Of a ``mixed`` engine, which parts are not fast and why, in words."""
        return () if self._fast is None else self._fast.plain_parts

    @property
    def encode_bytes(self) -> int:
        """Memory that encoding one picture takes while it runs, about, beyond the weights.

        A ViT holds three matrices of all tokens with all tokens, one a head, in a block of global
        attention; TinyViT five activations of its first stage, 256 channels at four times the
        embedding's side. Measured for vit_b (2.4 GB) and vit_t (0.33 GB). The fast path takes less.
        """
        if self._fast is not None and not self._fast.plain_parts:
            return self._fast.encode_bytes
        grid = self.module.prompt_encoder.image_embedding_size[0]
        encoder = self.module.image_encoder
        if isinstance(encoder, ImageEncoderViT):
            heads = next(
                part.num_heads for part in encoder.modules() if isinstance(part, Attention)
            )
            return 4 * 3 * heads * grid**4
        return 4 * 5 * 256 * (4 * grid) ** 2

    def encode(self, pixels: FloatArray) -> FloatArray:
        """Image embeddings (B, 256, G, G) float32 of pixels (B, 3, S, S) float32, normalised."""
        check_shape(pixels, ("B", 3, "S", "S"), "pixels")
        half = torch.autocast(
            self.device.type, self._dtype, enabled=self._dtype is not torch.float32
        )
        encode = self.module.encode if self._fast is None else self._fast.encode
        with torch.inference_mode(), half:
            features = encode(self._tensor(pixels))
        return _finite(features, "the image embedding")

    def session(self, embedding: ImageEmbedding) -> "TorchSession":
        """The session of an embedding, from the most recently used ones where it is there."""
        embedding.check_made_for(self.info)
        # A session holds its embedding, so an id in this table cannot be given to another one.
        with self._lock:
            session = self._sessions.get(id(embedding))
            if session is None:
                features = self._tensor(embedding.features)
                decoder = None if self._fast is None else self._fast.decoder()
                session = self._sessions[id(embedding)] = TorchSession(
                    self.module, embedding, features, self._head, decoder
                )
            self._sessions.move_to_end(id(embedding))
            while sum(kept.nbytes for kept in self._sessions.values()) > SESSION_BYTES:
                self._sessions.popitem(last=False)
        return session

    def _tensor(self, array: FloatArray) -> torch.Tensor:
        # torch warns about read-only arrays, and a session must not share memory with a caller's
        return torch.tensor(array, dtype=torch.float32, device=self.device)


class TorchSession:
    """One embedded picture on the device; see :class:`samphire.engines.base.Session`."""

    def __init__(
        self,
        module: Sam,
        embedding: ImageEmbedding,
        features: torch.Tensor,
        head: SemanticHead | None = None,
        decoder: FastDecoder | None = None,
    ) -> None:
        self._module = module
        self._head = head
        self._decoder = decoder
        self._lock = threading.Lock()
        self._shared: SharedImage | None = None
        self._embedding = embedding
        self._features = features

    @property
    def nbytes(self) -> int:
        """Memory of the features, on the device and in the embedding, and of what prompts share."""
        shared = 0 if self._shared is None else self._shared.nbytes
        return self._features.nbytes + self._embedding.features.nbytes + shared

    def decode(
        self,
        prompts: InputPrompts,
        *,
        multimask: bool,
        min_predicted_iou: float | None = None,
    ) -> LowRes:
        """Low-resolution logits; see :meth:`samphire.engines.base.Session.decode`."""
        if self._decoder is not None:
            return self._decode_fast(self._decoder, prompts, multimask, min_predicted_iou)
        at_once = CPU_OBJECTS if self._features.device.type == "cpu" else max(len(prompts), 1)
        parts = [
            self._decode(prompts[start : start + at_once], multimask, min_predicted_iou)
            for start in range(0, max(len(prompts), 1), at_once)
        ]
        if len(parts) == 1:
            return parts[0]
        kept = [part.kept + np.array([index * at_once, 0]) for index, part in enumerate(parts)]
        return LowRes(
            logits=np.concatenate([part.logits for part in parts]),
            kept=np.concatenate(kept),
            predicted_iou=np.concatenate([part.predicted_iou for part in parts]),
        )

    def _decode(
        self,
        prompts: InputPrompts,
        multimask: bool,  # noqa: FBT001
        min_predicted_iou: float | None,
    ) -> LowRes:
        """One call of the plain decoder."""
        with torch.inference_mode():
            logits, predicted_iou = self._module.decode(
                self._features, *self._tensors(prompts), multimask
            )
        scores = _finite(predicted_iou, "the predicted IoU")
        chosen = np.ones(scores.shape, np.bool_)
        if min_predicted_iou is not None:
            chosen = scores > min_predicted_iou
        rows = _finite(logits[torch.from_numpy(chosen).to(logits.device)], "the mask logits")
        return LowRes(logits=rows, kept=np.argwhere(chosen), predicted_iou=scores)

    def _decode_fast(
        self,
        decoder: FastDecoder,
        prompts: InputPrompts,
        multimask: bool,  # noqa: FBT001
        min_predicted_iou: float | None,
    ) -> LowRes:
        """All objects; the decoder takes them a few at a time by itself."""
        encoder = self._module.prompt_encoder
        with torch.inference_mode():
            sparse, dense = encoder(*self._tensors(prompts))
            with self._lock:
                if self._shared is None:
                    no_mask = encoder.no_mask_embed.weight[0]
                    self._shared = decoder.share(self._features, encoder.get_dense_pe(), no_mask)
            logits, kept, predicted_iou = decoder.decode(
                self._shared,
                sparse,
                None if prompts.masks is None else dense,
                multimask=multimask,
                min_predicted_iou=min_predicted_iou,
            )
        return LowRes(
            logits=_finite(logits, "the mask logits"),
            kept=kept.numpy(),
            predicted_iou=_finite(predicted_iou, "the predicted IoU"),
        )

    def classify(self) -> FloatArray:
        """Logits of the classes; see :meth:`samphire.engines.base.Session.classify`."""
        if self._head is None:
            raise AdapterError(
                "this model knows no classes: load it with an adapter that was tuned for them "
                "(samphire tune --task semantic)"
            )
        with torch.inference_mode():
            logits = self._head(self._module, self._features)[0]
        return _finite(logits, "the class logits")

    def _tensors(
        self, prompts: InputPrompts
    ) -> tuple[tuple[torch.Tensor, torch.Tensor] | None, torch.Tensor | None, torch.Tensor | None]:
        """Points with labels, boxes and masks, as the prompt encoder takes them."""
        points = None
        if prompts.points.shape[1]:
            points = (self._tensor(prompts.points), self._tensor(prompts.labels))
        boxes, masks = (
            None if part is None else self._tensor(part) for part in (prompts.boxes, prompts.masks)
        )
        return points, boxes, masks

    def _tensor(self, array: FloatArray | IntArray) -> torch.Tensor:
        return torch.tensor(array, device=self._features.device)


def devices() -> list[str]:
    """What torch can compute on here, with a word on each."""
    names = [f"cpu ({torch.get_num_threads()} threads)"]
    names += [
        f"cuda:{index} ({torch.cuda.get_device_name(index)})"
        for index in range(torch.cuda.device_count())
    ]
    return names + (["mps"] if torch.backends.mps.is_available() else [])


def _device(name: str) -> torch.device:
    """The device, if it is here.

    Raises:
        EngineUnavailableError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EngineUnavailableError(
            f"device {name!r} cannot be used here: {str(error).splitlines()[0]} "
            "(samphire doctor lists the devices)"
        ) from error
    return device


def _dtype(name: str) -> torch.dtype:
    """The type with this name.

    Raises:
        EngineUnavailableError: the arithmetic is not offered.
    """
    if name not in DTYPES:
        raise EngineUnavailableError(f"dtype {name!r}: expected one of {', '.join(DTYPES)}")
    return DTYPES[name]


def _identity(module: Sam) -> tuple[str, str]:
    tensors = {name: value.cpu().numpy() for name, value in module.state_dict().items()}
    return encoder_id(tensors), base_id(tensors)


def _finite(tensor: torch.Tensor, what: str) -> FloatArray:
    """The tensor as float32 NumPy.

    Raises:
        NonFiniteError: it holds NaN or infinity.
    """
    if not torch.isfinite(tensor).all():
        raise NonFiniteError(
            f"{what} holds NaN or infinity: the weights are damaged, or their precision is too "
            "low for this picture; run samphire models verify"
        )
    array: FloatArray = tensor.float().cpu().numpy()
    return array
