"""The page of speed shows the committed results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["encoder", "clicks", "start", "rewrites", "everything"])
def test_the_page_shows_the_committed_tables(script):
    page = (ROOT / "docs" / "reference" / "speed.md").read_text(encoding="utf-8")
    command = [sys.executable, ROOT / "benchmarks" / f"{script}.py", "--table"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert table.strip() in page
    assert json.loads((ROOT / "docs" / "reference" / f"{script}.json").read_text())["machine"]


def test_the_page_shows_which_aims_are_met(script):
    page = (ROOT / "docs" / "reference" / "speed.md").read_text(encoding="utf-8")
    assert script("aims").table() in page


def test_an_aim_is_told_from_the_results(script, monkeypatch, tmp_path):
    aims = script("aims")
    monkeypatch.setattr(aims, "REFERENCE", tmp_path)
    rows = [
        {
            "name": name,
            "allocator": "default",
            "median_seconds": 1.0,
            "times_as_fast": times,
            "least_seconds": least,
        }
        for name, times, least in (("onnxruntime", 1.5, 5.0), ("fast", 4.5, 2.0))
    ]
    (tmp_path / "clicks.json").write_text(json.dumps({"1": {"rows": rows}}))
    # three times by the rounds, 2.5 times by the least
    (tmp_path / "start.json").write_text(json.dumps({"ratio": 1.25}))
    lines = aims.table().splitlines()
    assert "| one click | twice ONNX Runtime | 2.50 times | yes |" in lines
    assert "| shell to saved mask | 1.1 times its parts | 1.25 times | no |" in lines
    assert "| encode, ViT-B | 2.7 times plain | not measured | |" in lines
