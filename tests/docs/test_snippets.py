"""What the documentation shows runs: every Python block, every Samphire command.

Blocks in ```python run, those of a page one after another, in a folder with the files that they
name. What cannot run here, other libraries' code, is ```py with a title: shown, not run. Of
commands (```sh, or a line of samphire indented by four) the names and options are checked, not the
answer.
"""

import re
import shlex
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from samphire.cli.__main__ import cli
from samphire.cli.demo import demo_photo

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if page.name != "first-masks.md"]  # made from the notebook
FENCE = re.compile(r"^( *)```(\S*)([^\n]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "py", "sh", "json", "text"}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _blocks(page: Path, language: str) -> list[str]:
    return [
        re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
        for indent, found, _, body in FENCE.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


def _commands(page: Path) -> list[str]:
    """The samphire command lines of a page, without what comes before or after in a pipe."""
    lines = [line for block in _blocks(page, "sh") for line in block.splitlines()]
    lines += re.findall(r"^ {4}(samphire .*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    lines += [found for line in lines for found in re.findall(r"\| (samphire .*)", line)]
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("samphire ")]


def _table_lines(page: Path) -> dict[str, list[str]]:
    """The code in the last column of each table that ends in a column ``Samphire``."""
    text, tables = page.read_text(encoding="utf-8"), {}
    for first, rows in re.findall(
        r"^\| (\w+) \| Samphire \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.M
    ):
        cells = [row.strip().removesuffix("|").rpartition("|")[2] for row in rows.splitlines()]
        tables[first] = [line for cell in cells for line in re.findall(r"`([^`]+)`", cell)]
    return tables


PYTHON = {_name(page): _blocks(page, "python") for page in PAGES}
del PYTHON["docs/tutorial/tune.md"]  # uses what its commands make: test_tune_tutorial.py
TABLES = {
    f"{_name(page)}: {first}": lines
    for page in PAGES
    for first, lines in _table_lines(page).items()
}
COMMANDS = sorted({(_name(page), line) for page in PAGES for line in _commands(page)})


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The files that pages name."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("truck.jpg", "photo.jpg", "photos/a.jpg", "photos/b.jpg", "photos/c.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(demo_photo())
    # Hounsfield units: air, a body, an organ in it
    hounsfield = np.full((256, 256), -1000, np.float32)
    cv2.ellipse(hounsfield, (128, 128), (110, 80), 0, 0, 360, 0, -1)
    cv2.ellipse(hounsfield, (120, 125), (50, 35), 0, 0, 360, 120, -1)
    assert cv2.imwrite(str(folder / "slice.tif"), hounsfield)
    np.save(folder / "volume.npy", np.stack([hounsfield] * 3))
    return folder


@pytest.fixture
def checkpoints(files, vit_t) -> None:
    """A checkpoint of one's own, and one with the shapes of MedSAM."""
    import torch
    from conftest import random_weights

    from samphire.model import variants

    if not (files / "file.pth").exists():
        torch.save(vit_t.module.state_dict(), files / "file.pth")
        medsam = variants.medsam()
        random_weights(medsam)
        torch.save(medsam.state_dict(), files / "medsam_like.pth")


@pytest.mark.weights
@pytest.mark.parametrize("page", [name for name, blocks in PYTHON.items() if blocks])
@pytest.mark.usefixtures("vit_t", "own_cache")
def test_the_python_of_a_page_runs_from_top_to_bottom(page, files, monkeypatch, request):
    if "checkpoint" in page:
        request.getfixturevalue("checkpoints")
    monkeypatch.chdir(files)
    names: dict = {}
    for number, block in enumerate(PYTHON[page]):
        exec(compile(block, f"{page}, block {number}", "exec"), names)  # noqa: S102 - our own pages


@pytest.mark.weights
@pytest.mark.usefixtures("vit_t")
@pytest.mark.parametrize("table", TABLES)
def test_the_right_hand_lines_of_a_table_run_one_after_another(table, files, monkeypatch):
    monkeypatch.chdir(files)
    names: dict = {}
    for line in TABLES[table]:
        exec(compile(line, f"{table}: {line}", "exec"), names)  # noqa: S102 - our own pages


def test_the_tables_are_found_and_each_has_its_lines():
    assert {table.rpartition(" ")[2] for table in TABLES} == {
        "segment_anything",
        "transformers",
        "ultralytics",
    }
    assert all(len(lines) > 8 for lines in TABLES.values())


@pytest.mark.parametrize("page", [_name(page) for page in PAGES])
def test_every_block_says_what_it_is_and_code_that_does_not_run_says_whose(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for _, language, rest, _ in FENCE.findall(text):
        assert language in LANGUAGES
        assert (language != "py") or "title=" in rest
    assert text.count("```") == 2 * len(FENCE.findall(text))


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_shown_exists_with_its_options(page, line):
    _, *words = shlex.split(line.partition(" > ")[0].partition(" | ")[0])
    command: click.Command = cli
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    # with the group's settings: a command keeps the help option that it is first asked for
    context = click.Context(command, **cli.context_settings)
    given, _, _ = command.make_parser(context).parse_args(list(words))  # unknown options raise
    for parameter in command.params:
        value = given.get(parameter.name)
        if isinstance(value, str | list | tuple) and not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, value)


def test_commands_are_found_on_the_pages_that_show_them():
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "docs/tutorial/first-mask.md", "docs/how-to/own-checkpoint.md"} <= pages
    assert len(COMMANDS) > 25
