"""The page of speed shows the committed results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["encoder", "clicks"])
def test_the_page_shows_the_committed_tables(script):
    page = (ROOT / "docs" / "reference" / "speed.md").read_text(encoding="utf-8")
    command = [sys.executable, ROOT / "benchmarks" / f"{script}.py", "--table"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert table.strip() in page
    assert json.loads((ROOT / "docs" / "reference" / f"{script}.json").read_text())["machine"]
