"""The README's example runs as it stands, and its commands exist."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samphire.cli.__main__ import cli
from samphire.cli.demo import demo_photo

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.weights
def test_the_python_example_runs_and_is_five_lines(tmp_path, monkeypatch, vit_t):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line]) == 5
    monkeypatch.chdir(tmp_path)
    Path("truck.jpg").write_bytes(demo_photo())
    names: dict = {}
    exec(compile(example, str(README), "exec"), names)  # noqa: S102 - our own README
    assert names["masks"].area[0] == pytest.approx(23_596, rel=0.01)
    with Image.open("overlay.png") as overlay, Image.open("truck.jpg") as photo:
        changed = (np.array(overlay) != np.array(photo)).any(axis=2)
    assert 20_000 < np.count_nonzero(changed) < 60_000


def test_every_command_it_shows_exists():
    shown = set(re.findall(r"^ {4}samphire (\w+)", README.read_text(), re.MULTILINE))
    assert shown
    assert shown <= set(cli.commands)


def test_every_file_it_names_exists():
    root = README.parent
    named = re.findall(r"`([\w/]+\.(?:py|md))`", README.read_text())
    assert len(named) > 15
    missing = [
        name
        for name in named
        if not any((base / name).exists() for base in (root, root / "src/samphire"))
        and not (root / "src/samphire/model" / name).exists()
    ]
    assert missing == []
