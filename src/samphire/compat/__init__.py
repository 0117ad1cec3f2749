"""segment_anything's names on top of Samphire: user code written for it runs unchanged.

    python -m samphire.compat script.py            # an unchanged script
    samphire.compat.install()                      # in a notebook, before its imports
    from samphire.compat import SamPredictor       # or name the room

``segment_anything/`` mirrors the original's modules, file for file; :func:`install` puts them into
``sys.modules`` as ``segment_anything`` and ``mobile_sam``. Importing this package does neither
that nor load PyTorch. What is kept, fixed and missing: ``docs/reference/compat.md``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from samphire.compat.aliases import install as install
from samphire.compat.aliases import uninstall as uninstall

if TYPE_CHECKING:
    from samphire.compat.segment_anything import (
        SamAutomaticMaskGenerator as SamAutomaticMaskGenerator,
    )
    from samphire.compat.segment_anything import SamPredictor as SamPredictor
    from samphire.compat.segment_anything import build_sam as build_sam
    from samphire.compat.segment_anything import build_sam_vit_b as build_sam_vit_b
    from samphire.compat.segment_anything import build_sam_vit_h as build_sam_vit_h
    from samphire.compat.segment_anything import build_sam_vit_l as build_sam_vit_l
    from samphire.compat.segment_anything import build_sam_vit_t as build_sam_vit_t
    from samphire.compat.segment_anything import sam_model_registry as sam_model_registry
    from samphire.compat.segment_anything.modeling import Sam as Sam
    from samphire.compat.segment_anything.utils.onnx import SamOnnxModel as SamOnnxModel
    from samphire.compat.segment_anything.utils.transforms import (
        ResizeLongestSide as ResizeLongestSide,
    )

_ROOT = "samphire.compat.segment_anything"
_HOMES = {
    "ResizeLongestSide": f"{_ROOT}.utils.transforms",
    "Sam": f"{_ROOT}.modeling",
    "SamAutomaticMaskGenerator": _ROOT,
    "SamOnnxModel": f"{_ROOT}.utils.onnx",
    "SamPredictor": _ROOT,
    "build_sam": _ROOT,
    "build_sam_vit_b": _ROOT,
    "build_sam_vit_h": _ROOT,
    "build_sam_vit_l": _ROOT,
    "build_sam_vit_t": _ROOT,
    "sam_model_registry": _ROOT,
}

__all__ = [
    "ResizeLongestSide",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamOnnxModel",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "install",
    "sam_model_registry",
    "uninstall",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'samphire.compat' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
