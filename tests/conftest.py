"""What the tests share: where real data lies, a tiny engine, the real one."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from samphire.engines.load import load
from samphire.engines.torch_engine import TorchEngine
from samphire.model import variants
from samphire.model.sam import Sam
from samphire.weights.catalog import Entry
from samphire.weights.weights_file import write_weights

THREADS = torch.get_num_threads()

# torch keeps some sixty loggers apart from the root; pytest would join each of them, at every test
for _logger in logging.root.manager.loggerDict.values():
    if isinstance(_logger, logging.Logger) and _logger.name.startswith("torch"):
        _logger.propagate = True

# The same examples in every run: a run that fails has something to do with the change.
# no deadline: how long an example takes says more about the machine than about the code
settings.register_profile("quick", derandomize=True, max_examples=25, deadline=None)
settings.register_profile("thorough", derandomize=True, max_examples=60, deadline=None)  # make test
settings.load_profile("quick")


def random_weights(module: torch.nn.Module, seed: int = 0) -> None:
    """Fill every parameter and statistic, those included that start as zeros or ones.

    A bias table of zeros or a silent batch norm would hide a wrong index or a forgotten term.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(module.state_dict().items()):
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(1 + 0.2 * noise.abs())
            elif value.ndim > 1:
                fan_in = value[0].numel()
                value.copy_(noise / fan_in**0.5 if fan_in > 1 else noise)
            elif name.endswith("bias") or "mean" in name:
                value.copy_(0.1 * noise)
            else:
                value.copy_(1 + 0.1 * noise)


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest) -> None:
    """One thread for tiny tensors, which more only slow down; all of them for real weights."""
    torch.set_num_threads(THREADS if request.node.get_closest_marker("weights") else 1)


@pytest.fixture(scope="session")
def tiny_sam() -> Sam:
    """The smallest model with fixed random weights, in eval mode; do not change it."""
    sam = variants.tiny()
    random_weights(sam)
    return sam.eval()


@pytest.fixture(scope="session")
def tiny_engine(tiny_sam: Sam) -> TorchEngine:
    return TorchEngine(tiny_sam, model="tiny", preprocessing="sam-64")


@pytest.fixture(scope="session")
def vit_t() -> TorchEngine:
    """The real model; tests that use it carry the mark ``weights``."""
    return load("vit_t", device="cpu", progress=False)


@pytest.fixture(scope="session", params=["plain", "fast"])
def vit_t_by_path(request: pytest.FixtureRequest) -> TorchEngine:
    """The real model, by each path that users may get."""
    return load("vit_t", device="cpu", path=request.param, progress=False)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images; without SAMPHIRE_DATA the test is skipped."""
    folder = os.environ.get("SAMPHIRE_DATA")
    if not folder:
        pytest.skip("needs real images: set SAMPHIRE_DATA to their folder")
    assert Path(folder).is_dir(), f"SAMPHIRE_DATA={folder} is not a folder"
    return Path(folder)


@pytest.fixture(scope="session")
def golden(data: Path) -> Path:
    """The folder of the original code's outputs, beside the images."""
    folder = data.parent / "golden"
    assert folder.is_dir(), f"{folder} is missing, and SAMPHIRE_DATA is set"
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_weights(tiny_engine: TorchEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights of the tiny model, for ``--model``."""
    tensors = {key: value.numpy() for key, value in tiny_engine.module.state_dict().items()}
    entry = Entry(
        name="tiny",
        variant="tiny",
        preprocessing=tiny_engine.info.preprocessing,
        description="for tests",
        parameters=sum(array.size for array in tensors.values()),
        licence="none",
        sources=(),
        encoder_id=None,
        base_id=None,
        file_hashes=(),
    )
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_weights(path, tensors, entry, {"source": "random"})
    return path


@pytest.fixture(scope="session")
def loaded_engine(tiny_weights: Path) -> TorchEngine:
    """The tiny model as users and commands load it: by the fast path, where there is one."""
    return load(tiny_weights, device="cpu", progress=False)
