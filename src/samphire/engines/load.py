"""``samphire.load``: from a name or a file to an engine that answers."""

import logging
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from samphire.errors import MissingExtraError
from samphire.weights import catalog, store

if TYPE_CHECKING:
    from samphire.engines.fast_path import EnginePath
    from samphire.engines.torch_engine import TorchEngine

logger = logging.getLogger(__name__)


def load(  # noqa: PLR0913 - one parameter a choice
    model: str | Path = "vit_t",
    *,
    adapter: str | Path | None = None,
    variant: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    path: "EnginePath" = "auto",
    input_side: int | None = None,
    offline: bool = False,
    progress: bool = True,
) -> "TorchEngine":
    """An engine for a model of the catalogue, or for a file of weights.

    A model of the catalogue is fetched and converted once (``samphire models where`` says where
    it lies), with its hashes checked; later starts read the converted file. Other files are known
    by their content: official checkpoints, MobileSAM's and LiteMedSAM's, folders and files in the
    layout of `transformers`, and what training scripts save.

    Args:
        model: a name (``samphire models list``), or the path of a weights file or folder.
        adapter: a file that ``samphire tune`` wrote, trained on this model.
        variant: what a file is, where its shapes cannot tell (``vit_b`` or ``medsam``).
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: CUDA where it is, else CPU.
        dtype: of the image encoder's arithmetic: ``float32``, ``bfloat16`` or ``float16``.
        path: ``auto`` runs what is compiled of the model where that can be (float32 on a CPU):
            the same answers sooner, up to rounding. ``plain`` runs ``engine.module`` itself: for
            whoever changes it, or watches it by hooks. ``fast`` refuses where a part would stay
            plain; on other devices than a CPU it fuses a ViT's attention, which nobody has
            measured yet. ``engine.info.path`` says what runs.
        input_side: of the model's square input, pixels, a multiple of 16, for ViT models; None:
            the side that it was trained with. Smaller is quicker, and masks get coarser.
        offline: use what is in the cache, or fail; touch no network.
        progress: show a progress bar while fetching, on a terminal.

    Raises:
        WeightsError: the model is not known, cannot be had, or the file is not its checkpoint.
        EngineUnavailableError: the device is not here, the dtype is not offered, or a part has no
            fast path where ``fast`` is asked for.
        AdapterError: the adapter cannot be read, or belongs to another model.
        ShapeError: the model takes no such ``input_side``.
        MissingExtraError: PyTorch is not installed.
    """
    started = time.perf_counter()
    file = weights_file(model, offline=offline, progress=progress)
    if find_spec("torch") is None:
        raise MissingExtraError("PyTorch is not installed: pip install 'samphire[torch]'")
    from samphire.engines.torch_engine import TorchEngine
    from samphire.weights.load import load_module

    loaded = load_module(file, variant)
    if input_side is not None:
        loaded = loaded.at_input_side(input_side)
    engine = TorchEngine(
        loaded.module,
        model=loaded.variant,
        preprocessing=loaded.preprocessing,
        device=device,
        dtype=dtype,
        path=path,
        identity=loaded.identity,
    )
    if adapter is not None:
        engine = adapt(engine, adapter)
    logger.info("loaded %s in %.2f s", engine.info, time.perf_counter() - started)
    return engine


def adapt(engine: "TorchEngine", adapter: str | Path) -> "TorchEngine":
    """The same model with an adapter, without loading it again; ``engine`` stays as it is.

    Args:
        engine: from :func:`load`, without an adapter.
        adapter: a file that ``samphire tune`` wrote.

    Raises:
        AdapterError: the adapter cannot be read, or belongs to another model.
        OSError: the file cannot be opened.
    """
    from samphire.weights.adapter_file import load_adapter

    return engine.wearing(load_adapter(Path(adapter)), str(adapter))


def weights_file(model: str | Path, *, offline: bool, progress: bool) -> Path:
    """The file of a name or path.

    A name, of the catalogue or imported, wins over a file of that name: ``./name`` is the file.

    Raises:
        WeightsError: there is none.
    """
    name = str(model)
    if name in store.imported_names():
        return store.imported_path(name)
    if name not in catalog.CATALOG and Path(model).exists():
        return Path(model)
    return store.fetch(catalog.entry(name), offline=offline, progress=progress)
