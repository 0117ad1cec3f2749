"""Tuning some of the model's own weights: no new parameters, a larger file.

``decoder`` trains the mask decoder alone, so that the encoder runs once an image; ``partial`` names
parts of the encoder. Sources: Ben Zaken et al. 2022 (BitFit) for biases; Touvron et al. 2022 for
attention; Kirillov et al. 2023, appendix A, trains all with layer-wise decay.
"""

from dataclasses import dataclass

from torch import nn

from samphire.adapters.inject import Plan
from samphire.adapters.sites import ENCODER, check_blocks, chosen_blocks, encoder_blocks
from samphire.errors import AdapterError
from samphire.model.layer_norm import LayerNorm2d
from samphire.model.sam import Sam

PARTS = ("bias", "norm", "attention", "blocks", "neck", "full")


@dataclass(frozen=True)
class Decoder:
    """Settings of the method: none. The encoder stays as it is."""

    def plan(self, sam: Sam) -> Plan:
        """Nothing beside the decoder."""
        return Plan()


@dataclass(frozen=True)
class Partial:
    """Settings of the method.

    Attributes:
        parts: of the encoder: ``bias`` and ``norm`` (layer norms) of the blocks, their
            ``attention``, the whole ``blocks``, the ``neck``; ``full``: all of it.
        blocks: in which the first four are looked for, ``all`` or ``last:k``.
        layer_decay: the learning rate of a block is that of the next one times this; the way to
            TinyViT's next stage goes with the block before it; below the first block it is lowest.
    """

    parts: tuple[str, ...] = ("bias", "norm")
    blocks: str = "all"
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        check_blocks(self.blocks)
        if not self.parts or not set(self.parts) <= set(PARTS):
            raise AdapterError(f"parts {self.parts}: expected some of {', '.join(PARTS)}")
        if not 0 < self.layer_decay <= 1:
            raise AdapterError(f"layer_decay {self.layer_decay}: expected above 0, at most 1")

    def plan(self, sam: Sam) -> Plan:
        """The parameters that train; batch norms keep their statistics."""
        names: set[str] = set()
        for path in chosen_blocks(sam, self.blocks):
            block = sam.get_submodule(path)
            names |= {f"{path}.{name}" for name in self._inside(block)}
        for name, _ in sam.image_encoder.named_parameters(prefix=ENCODER):
            unused = name.startswith((f"{ENCODER}.head.", f"{ENCODER}.norm_head."))
            wanted = "neck" in self.parts and name.startswith(f"{ENCODER}.neck.")
            if wanted or ("full" in self.parts and not unused):
                names.add(name)
        return Plan(own={name: self._share(sam, name) for name in sorted(names)})

    def _inside(self, block: nn.Module) -> set[str]:
        """Names of parameters of a block that train, inside it."""
        norms = {
            f"{path}.{name}"
            for path, part in block.named_modules()
            if isinstance(part, nn.LayerNorm | LayerNorm2d)
            for name, _ in part.named_parameters(recurse=False)
        }
        found = set()
        for name, _ in block.named_parameters():
            if (
                "blocks" in self.parts
                or ("bias" in self.parts and name.endswith("bias"))
                or ("norm" in self.parts and name in norms)
                or ("attention" in self.parts and name.startswith("attn."))
            ):
                found.add(name)
        return found

    def _share(self, sam: Sam, name: str) -> float:
        """The share of the learning rate: 1 for the neck, less the deeper below it."""
        paths = encoder_blocks(sam)
        if name.startswith(f"{ENCODER}.neck."):
            return 1.0
        stage, way, _ = name.partition("downsample.")
        places = [
            place
            for place, path in enumerate(paths)
            if name.startswith(f"{path}.") or (way and path.startswith(stage))
        ]
        return self.layer_decay ** (len(paths) - (places[-1] if places else -1))
