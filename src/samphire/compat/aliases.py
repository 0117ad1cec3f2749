"""The names ``segment_anything`` and ``mobile_sam``, as entries of ``sys.modules``.

Each entry is the very module object of ``samphire.compat.segment_anything``: no second copy is
executed, so a class is the same class under every name, what is pickled names its home here and
``importlib.reload`` works. Both packages are one tree: MobileSAM's differs from the original's by
``vit_t`` and ``TinyViT`` alone.
"""

import sys
from importlib import import_module
from types import ModuleType

from samphire.compat.errors import NamesTakenError

PACKAGES = ("mobile_sam", "segment_anything")
HOME = "samphire.compat.segment_anything"
MODULES = (
    "",
    ".automatic_mask_generator",
    ".build_sam",
    ".modeling",
    ".modeling.common",
    ".modeling.image_encoder",
    ".modeling.mask_decoder",
    ".modeling.prompt_encoder",
    ".modeling.sam",
    ".modeling.tiny_vit_sam",
    ".modeling.transformer",
    ".predictor",
    ".utils",
    ".utils.amg",
    ".utils.onnx",
    ".utils.transforms",
)


def install(*packages: str, replace: bool = False) -> None:
    """Make ``import segment_anything`` and ``import mobile_sam`` give Samphire's modules.

    Call it before the imports it is for. Calling it again changes nothing. A package of that name
    that is installed, but not imported yet, is hidden until the process ends, or until
    :func:`uninstall`.

    Args:
        packages: which of the two; both if none is named.
        replace: forget another package of that name that is already imported. Names that were
            imported from it before keep pointing at it.

    Raises:
        NamesTakenError: another package of that name is imported, and ``replace`` is off; then
            nothing is changed.
        ValueError: there is no such package here.

    >>> import samphire.compat
    >>> samphire.compat.install()                                        # doctest: +SKIP
    >>> from segment_anything import SamPredictor, sam_model_registry    # doctest: +SKIP
    """
    wanted = _checked(packages)
    foreign = [name for name, module in _entries(wanted) if not _is_ours(module)]
    if foreign and not replace:
        raise NamesTakenError(
            f"{foreign[0]} is already imported, from {_place(sys.modules[foreign[0]])}: call "
            "samphire.compat.install() before that import, or install(replace=True) to forget it"
        )
    for name in foreign:
        del sys.modules[name]
    for package in wanted:
        for suffix in MODULES:
            sys.modules[package + suffix] = import_module(HOME + suffix)


def uninstall(*packages: str) -> None:
    """Take back what :func:`install` did; other packages' modules stay.

    Raises:
        ValueError: there is no such package here.
    """
    for name, module in _entries(_checked(packages)):
        if _is_ours(module):
            del sys.modules[name]


def _checked(packages: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(packages) - set(PACKAGES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} has no mirror here: expected {' or '.join(PACKAGES)}")
    return packages or PACKAGES


def _entries(packages: tuple[str, ...]) -> list[tuple[str, ModuleType | None]]:
    """What ``sys.modules`` holds of these packages, the packages themselves first."""
    return sorted(
        (name, module) for name, module in sys.modules.items() if name.split(".")[0] in packages
    )


def _is_ours(module: ModuleType | None) -> bool:
    return module is not None and module.__name__.startswith(HOME)


def _place(module: ModuleType | None) -> str:
    return str(getattr(module, "__file__", None) or "a place that is not a file")
