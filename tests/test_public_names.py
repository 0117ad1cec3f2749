import json
import subprocess
import sys

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
