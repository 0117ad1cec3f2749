"""The benchmark of tuning: its bookkeeping, and that the documentation shows what was measured."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from labelled_sets import masks, picture, sample

from samphire.samples import Labelled, Volume

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tuning(script):
    """The script; by another name, for ``tuning`` is a folder of tests, too."""
    spec = importlib.util.spec_from_file_location(
        "benchmark_tuning", Path(script("results").__file__).with_name("tuning.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def record(name, protocol, before, after):
    return {
        "name": name,
        "trained_parameters": 10,
        "file_bytes": 1000,
        "seconds_an_epoch": 2.0,
        "peak_bytes": 3_000_000,
        "protocols": {
            protocol: {
                "cases": [str(index) for index in range(len(after))],
                "groups": [str(index) for index in range(len(after))],
                "before": before,
                "after": after,
            }
        },
    }


def save(work, measured):
    folder = work / measured["name"]
    folder.mkdir(parents=True)
    (folder / "measured.json").write_text(json.dumps(measured))


def test_the_base_of_classes_is_the_frozen_encoder_and_of_prompts_the_untuned_model(
    tuning, tmp_path
):
    save(tmp_path, record("polyps-semantic/decoder", "semantic", None, [0.5, 0.5, 0.6]))
    save(tmp_path, record("polyps-semantic/lora", "semantic", None, [0.7, 0.8, 0.8]))
    save(tmp_path, record("polyps-interactive/lora", "points", [0.1, 0.2, 0.3], [0.2, 0.3, 0.4]))
    save(tmp_path, record("polyps-semantic/lora-everywhere", "semantic", None, [0.6, 0.8, 0.8]))
    tasks = ("polyps-semantic/decoder", "polyps-semantic/lora", "polyps-interactive/lora")
    names = [*tasks, "polyps-semantic/lora-everywhere"]
    rows = tuning.gathered([*names, "not/yet"], tmp_path)
    by_name = {row["name"]: row for row in rows}
    assert list(by_name) == names
    assert "minus_base" not in by_name[names[0]]
    assert by_name[names[1]]["minus_base"]["mean"] == pytest.approx((0.2 + 0.3 + 0.2) / 3)
    assert by_name[names[2]]["minus_base"]["mean"] == pytest.approx(0.1)
    assert by_name[names[1]]["minus_everywhere"]["mean"] == pytest.approx(0.1 / 3)
    table = tuning.table({"runs": rows})
    assert "| polyps-semantic/lora | semantic | 0.767 (0.700 to 0.800) | 0.533 | +0.233 (" in table


def test_rows_measured_elsewhere_stay_and_are_compared_with(tuning, tmp_path):
    save(tmp_path / "then", record("polyps-semantic/decoder", "semantic", None, [0.5, 0.5, 0.6]))
    save(tmp_path / "now", record("polyps-semantic/adapter", "semantic", None, [0.7, 0.8, 0.8]))
    names = ["polyps-semantic/decoder", "polyps-semantic/adapter"]
    known = tuning.gathered(names, tmp_path / "then")
    rows = tuning.gathered(names, tmp_path / "now", json.loads(json.dumps(known)))
    assert rows[0] == known[0]
    assert rows[1]["minus_base"]["mean"] == pytest.approx((0.2 + 0.3 + 0.2) / 3)


def test_the_page_shows_the_committed_table(tuning):
    results = json.loads((ROOT / "docs" / "reference" / "tuning.json").read_text())
    page = (ROOT / "docs" / "reference" / "tuning.md").read_text(encoding="utf-8")
    for lines in (tuning.runs_table(results["runs"]), tuning.cost_table(results["cost"])):
        assert "\n".join(lines).strip() in page


def test_late_placement_costs_what_is_claimed():
    cost = json.loads((ROOT / "docs" / "reference" / "tuning.json").read_text())["cost"]
    everywhere = cost["lora everywhere"]
    for place in ("last:2", "last:4"):
        late = cost[f"lora {place}, cached"]
        assert late["peak_bytes"] <= 0.5 * everywhere["peak_bytes"]
        assert 1.5 * late["median_seconds"] <= everywhere["median_seconds"]


def test_four_blocks_are_not_clearly_worse_than_all_of_them():
    runs = json.loads((ROOT / "docs" / "reference" / "tuning.json").read_text())["runs"]
    apart = {row["name"]: row["minus_everywhere"] for row in runs if "minus_everywhere" in row}
    assert apart["polyps-semantic/lora-last-4"]["high"] >= 0
    assert apart["polyps-semantic/lora"]["high"] < 0  # as the page says


def test_at_most_eight_slices_of_a_volume_are_taken(tuning):
    def slice_of(index):
        box = (2, 2, 9, 9) if index >= 4 else (0, 0, 0, 0)
        labelled = Labelled(picture(index), masks(box))
        return sample(f"v#{index}", labelled, volume=Volume("v", index, (1.0, 1.0, 1.0)))

    chosen = tuning.fewer_slices([slice_of(index) for index in range(20)])
    assert len({each.id for each in chosen}) == len(chosen) == 8
    assert all(each.read().objects.area.any() for each in chosen)
