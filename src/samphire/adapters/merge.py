"""An adapter folded into the weights: a plain checkpoint that the original code loads."""

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from samphire.adapters.inject import BASE, Adapted, replace_part, sharing
from samphire.errors import AdapterError
from samphire.model.sam import Sam


@runtime_checkable
class Mergeable(Protocol):
    """A module of an adapter that can become one plain module."""

    def merged(self) -> nn.Module:
        """A new module of its base's kind that does the same; sums in float64, rounded once."""
        ...


def merged_tensors(adapted: Adapted) -> dict[str, torch.Tensor]:
    """The state dict of the plain model that answers as the adapted one does.

    Args:
        adapted: it stays as it is.

    Raises:
        AdapterError: the adapter has modules that are no :class:`Mergeable`, or tensors or
            classes for which a plain model has no place.
    """
    if adapted.head is not None:
        raise AdapterError(
            "the adapter has classes, and a plain checkpoint has no place for their head: keep it "
            "as a file of its own (samphire.load(..., adapter=))"
        )
    tensors = dict(adapted.module.state_dict())
    for path, wrapper in adapted.module.named_modules():
        if not hasattr(wrapper, BASE):
            continue
        if not isinstance(wrapper, Mergeable):
            raise AdapterError(
                f"{path} carries a {type(wrapper).__name__}, which is no linear map of what it "
                "wraps (it has no merged()): keep the adapter as a file of its own"
            )
        inside = [name for name in tensors if name.startswith(f"{path}.")]
        for name in inside:
            del tensors[name]
        merged = wrapper.merged().state_dict()
        tensors |= {f"{path}.{name}": value for name, value in merged.items()}
    plain = adapted.base.state_dict()
    if other := sorted(tensors.keys() ^ plain.keys()):
        raise AdapterError(
            f"{other[0]} is in the merged or in the plain model alone: merged() must give a module "
            "of its base's kind; keep the adapter as a file of its own"
        )
    return {name: tensors[name].detach().cpu().clone() for name in plain}


def folded(module: Sam) -> Sam:
    """The same model with what can be merged merged, and every other module of an adapter kept.

    Args:
        module: with or without an adapter; it stays as it is, and weights that no adapter changes
            are shared with it. Where nothing can be merged it is what is given back.
    """
    wrappers = {
        path: wrapper
        for path, wrapper in module.named_modules()
        if hasattr(wrapper, BASE) and isinstance(wrapper, Mergeable)
    }
    if not wrappers:
        return module
    plain = sharing(module)
    for path, wrapper in wrappers.items():
        replace_part(plain, path, wrapper.merged())
    return plain
