"""Our engines by path, the weights they get, and what the machine's best is.

Files of the published ViT models are not fetched: ``vit_b`` gets random numbers, the position
tables among them, for a table of zeros would hide a term that was left out.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from contender import AbsentError, Argument, Result, Runner
from measuring import THREADS
from results import WORK

import samphire
from samphire.arrays import ByteArray
from samphire.engines.fast_path import EnginePath
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import EngineUnavailableError
from samphire.fast.packed import Linear
from samphire.images.preprocessing import preprocessing
from samphire.images.read import read_image
from samphire.model.sam import Sam
from samphire.model.variants import SAM_VARIANTS
from samphire.weights import catalog
from samphire.weights.catalog import Entry
from samphire.weights.weights_file import write_weights

PUBLISHED = ("vit_t", "lite_medsam")  # those whose weights a package client can fetch
PHOTO = "photos/truck.jpg"


def engine(model: str, path: EnginePath) -> TorchEngine:
    """The engine that runs by a path.

    Raises:
        AbsentError: there is no such path for this model.
    """
    torch.set_num_threads(THREADS)
    weights: Any = model if model in PUBLISHED else random_file(model)
    try:
        return samphire.load(weights, device="cpu", path=path, progress=False)
    except EngineUnavailableError as error:
        raise AbsentError(str(error)) from error


def random_file(model: str) -> Path:
    """A file of seeded random weights of a variant, made where it is missing."""
    path = WORK / f"{model}-random.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        module = SAM_VARIANTS[model]()
        random_weights(module)
        tensors = {name: value.numpy() for name, value in module.state_dict().items()}
        write_weights(path, tensors, _entry(model, tensors), {"source": "random"})
    return path


def random_weights(module: Sam, seed: int = 0) -> None:
    """Fill a model so that activations keep their size and every table matters."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(module.state_dict().items()):
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=draw)
            if name.endswith("running_var"):
                value.copy_(1 + 0.2 * noise.abs())
            elif "rel_pos" in name or "pos_embed" in name or "attention_biases" in name:
                value.copy_(0.2 * noise)
            elif value.ndim > 1:
                value.copy_(noise / max(1, value[0].numel()) ** 0.5)
            elif name.endswith("bias") or "mean" in name:
                value.copy_(0.1 * noise)
            else:
                value.copy_(1 + 0.1 * noise)


def state_dict(model: str) -> dict[str, torch.Tensor]:
    """The weights that :func:`engine` gives a model, under the published names."""
    module: Sam = engine(model, "plain").module
    return module.state_dict()


def photo(data: Path) -> ByteArray:
    """The picture that everything is measured on, (1200, 1800, 3)."""
    return read_image(data / PHOTO)


def pixels(model: str, data: Path) -> npt.NDArray[np.float32]:
    """What a model's encoder gets for the photo, (1, 3, S, S)."""
    made, _ = preprocessing(_preprocessing(model)).apply(photo(data))
    return made


def product(name: str) -> Runner:
    """One large product of matrices: what the machine can do, in the same rounds."""
    torch.set_num_threads(THREADS)
    draw = torch.Generator().manual_seed(0)
    if name == "torch.mm":
        left, right = torch.randn(2, 2048, 2048, generator=draw)
        out = torch.empty(2048, 2048)

        def call(_: Argument) -> Result:
            torch.mm(left, right, out=out)
            return {}
    else:
        rows = torch.randn(4096, 768, generator=draw)
        linear = Linear(torch.randn(3072, 768, generator=draw), None, rows=4096)

        def call(_: Argument) -> Result:
            with torch.inference_mode():
                linear(rows)
            return {}

    return Runner(call, name)


def _preprocessing(model: str) -> str:
    return "sam-64" if model == "tiny" else catalog.entry(model).preprocessing


def _entry(model: str, tensors: dict[str, npt.NDArray[Any]]) -> Entry:
    return Entry(
        name=model,
        variant=model,
        preprocessing=_preprocessing(model),
        description="random weights",
        parameters=sum(array.size for array in tensors.values()),
        licence="none",
        sources=(),
        encoder_id=None,
        base_id=None,
        file_hashes=(),
    )
