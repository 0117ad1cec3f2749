"""An adapter folded into the weights: a plain checkpoint that the original code loads."""

import torch

from samphire.adapters.inject import BASE, Adapted
from samphire.adapters.lora import LoraLinear
from samphire.errors import AdapterError


def merged_tensors(adapted: Adapted) -> dict[str, torch.Tensor]:
    """The state dict of the plain model that answers as the adapted one does.

    Args:
        adapted: it stays as it is.

    Raises:
        AdapterError: the adapter has modules that are no linear map, or classes, for which a plain
            model has no place.
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
        if not isinstance(wrapper, LoraLinear):
            raise AdapterError(
                f"{path} carries a {type(wrapper).__name__}, which is no linear map and cannot be "
                "merged: keep the adapter as a file of its own"
            )
        inside = [name for name in tensors if name.startswith(f"{path}.")]
        for name in inside:
            del tensors[name]
        merged = wrapper.merged().state_dict()
        tensors |= {f"{path}.{name}": value for name, value in merged.items()}
    return {name: tensors[name].detach().cpu().clone() for name in adapted.base.state_dict()}
