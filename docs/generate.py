"""What the site's builder cannot write itself: pages made from the program and from the notebook.

    python docs/generate.py             the command line, the settings, the decisions, the notebook
    python docs/generate.py --execute   run the notebook first, and keep what it shows

The first three pages are committed, and tests/docs/ fails when they are stale. The notebook's page
is made for each build.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import nbformat
from nbclient import NotebookClient

from samphire.adapters import METHODS, Adaptation
from samphire.cli.__main__ import cli
from samphire.tuning.settings import TuneSettings

DOCS = Path(__file__).parent
NOTEBOOK = DOCS / "tutorial" / "first-masks.ipynb"
HELP = cli.context_settings["help_option_names"]
COMMANDS, DECISIONS = DOCS / "reference" / "command-line.md", DOCS / "reference" / "decisions.md"
SETTINGS = DOCS / "reference" / "tune-settings.md"


def command_line_page() -> str:
    """Every command's help, as the terminal shows it."""
    parts = [
        "# The command line\n\n"
        "Results go to stdout, talk goes to stderr. Exit code 0: done; 1: some inputs failed, or\n"
        "something is not here; 2: wrong usage. This page is what `--help` prints.\n"
    ]
    for words, command in _commands(cli, ("samphire",)):
        context = click.Context(
            command, info_name=" ".join(words), terminal_width=88, help_option_names=HELP
        )
        parts.append(f"## {' '.join(words)}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(
    command: click.Command, words: tuple[str, ...]
) -> list[tuple[tuple[str, ...], click.Command]]:
    """The command and those below it, in the order in which they were added."""
    below = command.commands.items() if isinstance(command, click.Group) else []
    return [(words, command)] + [
        row for name, inner in below for row in _commands(inner, (*words, name))
    ]


def settings_page() -> str:
    """Every setting of a tuning run, as the docstrings of the settings explain it."""
    run = [*_settings(Adaptation, leave_out="method"), *_settings(TuneSettings, "adaptation")]
    parts = [
        "# Settings of a tuning run\n\n"
        "What the file of `samphire tune --config` may say, in TOML; what is left out has its\n"
        "default. [Tuning](tuning.md) says what they do and why the defaults are what they are.\n"
        "This page is made from the program.\n",
        "## Of the run\n\n" + _table(run),
    ]
    for name, kind in METHODS.items():
        rows = list(_settings(kind))
        text = _table(rows) if rows else "No settings: nothing trains beside the decoder.\n"
        parts.append(
            f'## Of the method {name}\n\nBelow `[method]` and `name = "{name}"`.\n\n{text}'
        )
    return "\n".join(parts)


def _settings(kind: Any, leave_out: str = "") -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - a dataclass
    """Name, default and meaning of each field; a field without a line in the docstring raises."""
    told = dict(
        re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(kind) or "", re.MULTILINE)
    )
    hints = get_type_hints(kind)
    for field in fields(kind):
        if field.name == leave_out:
            continue
        meaning = re.sub(r"\s+", " ", told[field.name]).replace("``", "`")
        names = [f"`{each}`" for each in get_args(hints[field.name]) if isinstance(each, str)]
        if not all(name in meaning for name in names):
            meaning += f" One of {', '.join(names)}."
        yield field.name, json.dumps(field.default), meaning


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{default}` | {meaning} |" for name, default, meaning in rows]
    return "\n".join(lines) + "\n"


def decisions_page() -> str:
    """The decision records, by number."""
    lines = [
        "# Decisions\n",
        "What a reader may question, with the reasons: context, choice, alternatives,",
        "consequences, and what would change our mind.\n",
    ]
    for path in sorted((DOCS / "decisions").glob("*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{title}](../decisions/{path.name})".replace(". ", r"\. ", 1))
    return "\n".join(lines) + "\n"


def read_notebook() -> nbformat.NotebookNode:
    """The notebook as it was committed."""
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run every cell, in the notebook's folder; the first error raises.

    What tells of this machine and this run (times, its Python) is taken out.
    """
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": DOCS / "tutorial"}}
    )
    client.execute()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


def notebook_page(notebook: nbformat.NotebookNode) -> str:
    """The notebook as Markdown, with its pictures inside."""
    parts = [
        "<!-- made by docs/generate.py from first-masks.ipynb -->\n",
    ]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source + "\n")
        elif cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```\n")
            parts += [_shown(output) for output in cell.outputs]
    return "\n".join(parts)


def _shown(output: Any) -> str:  # noqa: ANN401 - nbformat's untyped nodes
    """One output of a cell: its picture, or else its text."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```\n"
    for kind in ("image/png", "image/jpeg"):
        if kind in output.data:
            data = re.sub(r"\s", "", output.data[kind])
            return f'<img src="data:{kind};base64,{data}" alt="What the cell above shows">\n'
    return f"```text\n{output.data['text/plain']}\n```\n"


def main() -> None:
    """Write the pages; run the notebook first if asked."""
    notebook = read_notebook()
    if sys.argv[1:] == ["--execute"]:
        nbformat.write(execute(notebook), NOTEBOOK)
    COMMANDS.write_text(command_line_page(), encoding="utf-8")
    SETTINGS.write_text(settings_page(), encoding="utf-8")
    DECISIONS.write_text(decisions_page(), encoding="utf-8")
    NOTEBOOK.with_suffix(".md").write_text(notebook_page(notebook), encoding="utf-8")


if __name__ == "__main__":
    main()
