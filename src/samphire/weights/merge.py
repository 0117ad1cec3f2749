"""A checkpoint and an adapter -> a checkpoint of the same layout, without a trace of the adapter.

The algebra is ``adapters/merge.py``; the files are read by ``load.py`` and ``adapter_file.py``, and
written by ``export.py``.
"""

from dataclasses import replace

from samphire.adapters import merged_tensors
from samphire.weights.adapter_file import AdapterFile
from samphire.weights.identity import base_id
from samphire.weights.load import Checkpoint, build


def merged(checkpoint: Checkpoint, adapter: AdapterFile, name: str = "the adapter") -> Checkpoint:
    """The checkpoint of the plain model that answers as the adapted one does.

    Args:
        checkpoint: of the model that the adapter was trained on.
        adapter: of LoRA, or of trained parameters of the model's own.
        name: what to call it in messages.

    Returns:
        float32 tensors under the published names; they are another model, so its ids are not told.

    Raises:
        AdapterError: the adapter belongs to another model, or a plain model has no place for it.
        CheckpointError: the tensors are not those of a whole model.
    """
    module = build(checkpoint.variant, checkpoint.tensors, checkpoint.file)
    if checkpoint.identity is None:
        own = base_id({key: value.numpy() for key, value in module.state_dict().items()})
    else:
        own = checkpoint.identity[1]
    adapter.check_fits(
        base=checkpoint.variant,
        base_id=own,
        preprocessing=checkpoint.preprocessing,
        name=name,
    )
    adapted = adapter.adaptation.apply(module)
    adapted.load(adapter.tensors)
    return replace(checkpoint, tensors=merged_tensors(adapted), entry=None, identity=None, notes=())
