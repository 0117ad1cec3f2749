"""Pages made from the program are not stale, the notebook runs, the site fetches nothing."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import nbformat
import numpy as np
import pytest
import torch
from safetensors import safe_open

from samphire import errors
from samphire.adapters import METHODS, Adaptation
from samphire.adapters.lora import Lora
from samphire.evaluation.agreement import agreement
from samphire.evaluation.everything import Picture, Proposals
from samphire.evaluation.protocols import Case, Evaluation
from samphire.evaluation.recall import Recall
from samphire.evaluation.report import PROTOCOLS, write_cases
from samphire.model import variants
from samphire.tuning.settings import Task, make_settings, settings_record
from samphire.weights.adapter_file import AdapterFile

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
    for command in (
        "segment",
        "tune",
        "evaluate",
        "predict",
        "merge",
        "data check",
        "models",
        "models fetch",
        "doctor",
        "demo",
    ):
        assert f"\n## samphire {command}\n" in page
    assert "--background-point X,Y" in page


def test_the_list_of_decisions_has_every_record(generate):
    page = generate.DECISIONS.read_text()
    assert page == generate.decisions_page(), "stale: python docs/generate.py"
    for record in (ROOT / "docs" / "decisions").glob("*.md"):
        assert f"(../decisions/{record.name})" in page


def test_the_page_of_settings_is_what_the_docstrings_say(generate):
    assert generate.SETTINGS.read_text() == generate.settings_page(), "stale: docs/generate.py"


@pytest.mark.parametrize("method", METHODS)
def test_the_page_of_settings_has_every_setting_with_its_default(generate, method):
    page = generate.SETTINGS.read_text()
    general, *sections = page.split("\n## Of the method ")
    record = settings_record(make_settings({"method": {"name": method}}))
    own = record.pop("method")
    del own["name"]
    (section,) = [each for each in sections if each.startswith(f"{method}\n")]
    for text, settings in ((general, record), (section, own)):
        found = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \S", text, re.MULTILINE))
        assert found == {name: json.dumps(value) for name, value in settings.items()}


def test_the_page_of_tuning_has_every_method_and_task_and_every_note_of_a_file(tmp_path):
    page = (ROOT / "docs" / "reference" / "tuning.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \| .* / [\d,]+ \|$", page, re.MULTILINE)) == set(METHODS)
    for task in get_args(Task):
        assert f"| `{task}` |" in page
    adaptation = Adaptation(Lora())
    file = AdapterFile(adaptation, "toy", "0" * 64, "sam-64", {"x": torch.zeros(1)})
    file.save(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as written:
        notes = written.metadata()
    section = page.partition("## The adapter's file")[2]
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+) \|", section, re.M)))) == (
        set(notes)
    )


@pytest.mark.parametrize("variant", ["vit_t", "vit_b"])
def test_the_page_of_tuning_counts_what_trains(variant):
    page = (ROOT / "docs" / "reference" / "tuning.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([\d,]+) / ([\d,]+) \|$", page, re.MULTILINE)
    told = {name: counts[variant == "vit_b"].replace(",", "") for name, *counts in rows}
    with torch.device("meta"):
        sam = getattr(variants, variant)()
    for name, kind in METHODS.items():
        plan = kind().plan(sam)
        count = sum(v.numel() for module in plan.modules.values() for v in module.parameters())
        count += sum(sam.get_parameter(path).numel() for path in plan.own)
        if name == "decoder":
            count = sum(value.numel() for value in sam.mask_decoder.parameters())
        assert told[name] == str(count)


def test_the_page_of_evaluation_has_every_protocol_and_every_column(tmp_path):
    page = (ROOT / "docs" / "reference" / "evaluation.md").read_text()
    for protocol in PROTOCOLS:
        assert f"| `{protocol}` |" in page
    square = np.ones((4, 4), np.bool_)
    case = Case("a", "a", "object 1", agreement(square, square, spacing=(1, 1)), (1.0, 1.0), 1.0)
    write_cases(tmp_path / "cases.csv", Evaluation("points", 2.0, (case,)))
    recall = Recall(np.ones((4, 10)), np.ones(4))
    write_cases(tmp_path / "pictures.csv", Proposals((Picture("a", "a", recall, 3),)))
    section = page.partition("## Columns of cases.csv")[2]
    for name in ("cases.csv", "pictures.csv"):
        for column in (tmp_path / name).read_text().partition("\n")[0].split(","):
            assert f"`{column}`" in section


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    for folder in ("tutorial", "how-to", "explanation", "reference"):
        for page in (ROOT / "docs" / folder).glob("*.md"):
            assert f": {folder}/{page.name}\n" in navigation


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
