"""Pages made from the program are not stale, the notebook runs, the site fetches nothing."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from samphire import errors

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial" / "first-masks.ipynb"


def _script(name: str):
    """A script of docs/, imported."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate():
    return _script("generate")


def test_the_page_of_the_command_line_is_what_help_says(generate):
    assert generate.COMMANDS.read_text() == generate.command_line_page(), (
        "stale: python docs/generate.py"
    )


def test_the_page_of_the_command_line_has_every_command(generate):
    page = generate.command_line_page()
    for command in ("segment", "models", "models fetch", "doctor", "demo"):
        assert f"\n## samphire {command}\n" in page
    assert "--background-point X,Y" in page


def test_the_list_of_decisions_has_every_record(generate):
    page = generate.DECISIONS.read_text()
    assert page == generate.decisions_page(), "stale: python docs/generate.py"
    for record in (ROOT / "docs" / "decisions").glob("*.md"):
        assert f"(../decisions/{record.name})" in page


def test_the_page_of_errors_has_every_error_with_the_builtin_it_is():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    tree = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(tree) > 10
    for error in tree:
        assert f"| `{error.__name__}` | `{error.__bases__[-1].__name__}` |" in page


def test_the_notebook_was_run_is_small_and_names_no_folder_of_a_machine():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [output for cell in cells for output in cell.outputs]
    assert not [output for output in shown if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    assert NOTEBOOK.stat().st_size < 1_000_000
    texts = [cell.source for cell in notebook.cells]
    texts += [output.get("text", "") for output in shown]
    texts += [output.get("data", {}).get("text/plain", "") for output in shown]
    assert not [text for text in texts if re.search(r"(?<![\w.])/\w+/", text)]


def _python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code that may import the scripts of docs/."""
    paths = os.pathsep.join([str(ROOT / "docs"), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.weights
def test_the_notebook_runs_from_top_to_bottom(vit_t):
    done = _python("import generate; generate.execute(generate.read_notebook())")
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.weights
def test_a_cell_that_raises_stops_the_execution():
    code = (
        "import generate, nbformat; cell = nbformat.v4.new_code_cell('1 / 0');"
        "generate.execute(nbformat.v4.new_notebook(cells=[cell]))"
    )
    done = _python(code)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr


def test_the_notebook_becomes_a_page_with_its_code_texts_and_pictures(generate):
    page = generate.notebook_page(generate.read_notebook())
    assert page.startswith("<!--")
    assert "\n# First masks, in a notebook\n" in page
    assert "```python\nimport samphire\n" in page
    assert '<img src="data:image/png;base64,iVBORw0KGgo' in page
    assert '<img src="data:image/jpeg;base64,/9j/' in page
    assert "ImageEmbedding(truck.jpg, 1800x1200, 1x256x64x64" in page
    assert "IPython.core.display" not in page


@pytest.mark.parametrize(
    "fetched",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img alt="" src="http://example.org/a.png">',
        '<div style="background: url(https://example.org/a.png)"></div>',
    ],
)
def test_a_page_that_fetches_from_another_host_is_found(tmp_path, fetched):
    page = tmp_path / "index.html"
    page.write_text(f"<html><body>{fetched}</body></html>")
    (address,) = _script("check_site").foreign(page)
    assert "example" in address


def test_links_to_follow_own_files_and_pictures_inside_the_page_are_fine(tmp_path):
    page = tmp_path / "index.html"
    page.write_text(
        '<link rel="canonical" href="https://example.org"><a href="https://example.org">read</a>'
        '<script src="assets/x.js"></script><img src="data:image/png;base64,AAAA">'
    )
    assert _script("check_site").foreign(page) == []


def test_a_style_sheet_that_fetches_a_font_is_found(tmp_path):
    sheet = tmp_path / "x.css"
    sheet.write_text('@import "https://fonts.example/a.css"; p { background: url(b.png) }')
    assert _script("check_site").foreign(sheet) == ["https://fonts.example/a.css"]


def test_pictures_of_the_pages_are_small():
    pictures = [*(ROOT / "docs" / "figures").glob("*.jpg")]
    assert len(pictures) == 3
    assert all(picture.stat().st_size <= 150_000 for picture in pictures)


def test_roles_in_docstrings_become_code():
    plain = _script("roles").without_roles
    assert (
        plain("see :func:`embed`, as :class:`~samphire.Masks`")
        == "see `embed`, as `samphire.Masks`"
    )
    assert plain("``code`` and a: `b`") == "``code`` and a: `b`"
