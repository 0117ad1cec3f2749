"""``install`` and ``uninstall``: which module answers to which name."""

import importlib
import pickle
import subprocess
import sys
from types import ModuleType

import pytest

from samphire import compat
from samphire.compat import aliases
from samphire.compat.errors import NamesTakenError


@pytest.fixture(autouse=True)
def clean():
    before = {name for name in sys.modules if name.split(".")[0] in aliases.PACKAGES}
    assert not before
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in aliases.PACKAGES]:
        del sys.modules[name]


def test_importing_compat_loads_no_torch_and_installs_nothing():
    code = """
import sys, samphire.compat
loaded = [name for name in ("torch", "numpy", "segment_anything", "mobile_sam")
          if name in sys.modules]
sys.exit(f"loaded {loaded}" if loaded else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", sorted(set(compat.__all__)))
def test_every_name_of_compat_resolves(name):
    assert getattr(compat, name) is not None
    assert compat.__all__ == sorted(compat.__all__)


def test_compat_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'SamPredict'"):
        compat.SamPredict  # noqa: B018


def test_a_class_is_the_same_under_every_name():
    compat.install()
    from mobile_sam import SamPredictor as Mobile
    from segment_anything.predictor import SamPredictor

    assert SamPredictor is Mobile is compat.SamPredictor


@pytest.mark.parametrize("package", aliases.PACKAGES)
def test_attributes_reach_what_imports_reach(package):
    compat.install()
    root = importlib.import_module(package)
    assert root.modeling.sam.Sam is compat.Sam
    assert root.utils.transforms.ResizeLongestSide is compat.ResizeLongestSide
    assert callable(root.build_sam)  # the function, not the module of that name


def test_installing_again_changes_nothing():
    compat.install()
    before = {name: sys.modules[name] for name in sys.modules if name.startswith("mobile_sam")}
    compat.install()
    assert all(sys.modules[name] is module for name, module in before.items())


def test_one_package_can_be_installed_alone():
    compat.install("mobile_sam")
    assert "mobile_sam.predictor" in sys.modules
    assert "segment_anything" not in sys.modules


def test_a_package_that_is_not_mirrored_is_refused():
    with pytest.raises(ValueError, match="'sam2' has no mirror here"):
        compat.install("sam2")


def test_another_package_of_that_name_is_refused_and_nothing_is_changed():
    real = sys.modules["segment_anything"] = ModuleType("segment_anything")
    with pytest.raises(NamesTakenError, match="segment_anything is already imported"):
        compat.install()
    assert sys.modules["segment_anything"] is real
    assert "mobile_sam" not in sys.modules


def test_another_package_of_that_name_is_replaced_where_that_is_asked_for():
    for name in ("segment_anything", "segment_anything.theirs"):
        sys.modules[name] = ModuleType(name)
    compat.install(replace=True)
    assert sys.modules["segment_anything"].SamPredictor is compat.SamPredictor
    assert "segment_anything.theirs" not in sys.modules


def test_uninstalling_takes_back_ours_and_leaves_others():
    compat.install("mobile_sam")
    real = sys.modules["segment_anything"] = ModuleType("segment_anything")
    compat.uninstall()
    assert "mobile_sam" not in sys.modules
    assert sys.modules["segment_anything"] is real


def test_a_module_can_be_reloaded(installed):
    from segment_anything.modeling import common

    assert importlib.reload(common) is sys.modules["segment_anything.modeling.common"]


def test_what_is_pickled_can_be_read_without_the_names(installed):
    from segment_anything.utils.transforms import ResizeLongestSide

    data = pickle.dumps(ResizeLongestSide(1024))
    assert b"samphire.compat" in data
    compat.uninstall()
    assert pickle.loads(data).target_length == 1024  # noqa: S301


def test_a_module_that_the_original_does_not_have_is_not_found(installed):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("segment_anything.onnx")
