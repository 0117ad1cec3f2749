"""Adapters that were never trained, for tests of what is done with one."""

import torch

from samphire.adapters import Adaptation
from samphire.weights.adapter_file import AdapterFile


def adapter_of(engine, method, classes=(), *, decoder=True):
    """An adapter with random tensors."""
    adaptation = Adaptation(method, decoder=decoder, classes=classes)
    generator = torch.Generator().manual_seed(7)
    tensors = {
        name: value + 0.1 * torch.randn(value.shape, generator=generator)
        for name, value in adaptation.apply(engine.module).tensors().items()
    }
    info = engine.info
    return AdapterFile(
        adaptation=adaptation,
        base=info.model,
        base_id=info.base_id,
        preprocessing=info.preprocessing,
        tensors=tensors,
        data={"name": "discs"},
        metrics={"dice": 0.5},
    )
