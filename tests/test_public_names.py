import json
import os
import subprocess
import sys
import textwrap

import pytest

import samphire


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_all_is_sorted_and_is_the_table_of_homes_and_the_version():
    assert samphire.__all__ == sorted(samphire.__all__)
    assert set(samphire.__all__) == set(samphire._HOMES) | {"__version__"}


@pytest.mark.parametrize("name", samphire.__all__)
def test_every_public_name_resolves(name):
    value = getattr(samphire, name)
    assert value is not None
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_importing_samphire_imports_no_library():
    heavy = ["torch", "cv2", "PIL", "numpy", "safetensors"]
    code = f"import sys, samphire; print([name for name in {heavy} if name in sys.modules])"
    assert _python(code).strip() == "[]"


def test_reading_drawing_and_saving_masks_import_no_torch():
    code = """
import sys, samphire
for name in ("Masks", "Prompts", "ImageEmbedding", "draw", "save_masks", "load_embedding"):
    getattr(samphire, name)
print("torch" in sys.modules)
"""
    assert _python(code).strip() == "False"


def test_dir_shows_the_public_names_even_before_their_first_use():
    code = "import json, samphire; print(json.dumps(dir(samphire)))"
    assert json.loads(_python(code)) == samphire.__all__


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert samphire.__version__ == version("samphire")


def test_a_name_that_is_not_there_is_an_attribute_error_that_says_so():
    with pytest.raises(AttributeError, match=r"module 'samphire' has no attribute 'segmnt'"):
        _ = samphire.segmnt


def test_a_type_checker_sees_every_public_name():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(samphire.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("samphire.")
        for alias in node.names
    }
    assert seen == set(samphire._HOMES)


@pytest.mark.slow
def test_importing_every_module_has_no_side_effect(tmp_path):
    """No argument is read, nothing is written, no random number drawn, no device touched."""
    code = textwrap.dedent(
        """
        import importlib, pkgutil, random, sys
        sys.argv = ["x", "--no-such-option", "False"]
        sys.modules["torchvision"] = None  # what nothing of ours may need
        import numpy, torch
        before = (
            random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist(),
            torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
        )
        import samphire
        names = [m.name for m in pkgutil.walk_packages(samphire.__path__, "samphire.")]
        names = [name for name in names if not name.endswith("__main__")]
        missing = []
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError as error:
                missing.append((name, str(error)))
        after = (
            random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist(),
            torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
        )
        assert before == after
        assert not torch.cuda.is_initialized()
        assert {"samphire.tuning.loop", "samphire.adapters.lora"} <= set(names)
        assert not missing, missing
        """
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)}
    environment |= {"SAMPHIRE_CACHE": str(tmp_path / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    paths = [os.path.abspath(path) for path in sys.path if path]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""
    assert not (tmp_path / "cache").exists()
    assert list(tmp_path.iterdir()) == []
