"""How benchmarks of speed measure: turns, foreign load, processes, and the tables."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def measuring(script):
    return script("measuring")


@pytest.fixture(scope="module")
def results(script):
    return script("results")


def test_contenders_take_turns_and_loud_rounds_are_discarded_whole(measuring):
    told = []

    def one(name, seconds):
        return lambda: told.append(name) or seconds

    loads = iter([0.0, 0.01, 0.0, 0.2, 0.0, 0.05])  # before and after each round
    times = measuring.in_turns({"a": one("a", 2.0), "b": one("b", 1.0)}, 2, lambda: next(loads))
    assert told == ["a", "b"] * 3
    assert times.kept == [{"a": 2.0, "b": 1.0}] * 2
    assert times.discarded == 1


def test_a_machine_that_never_is_quiet_gives_no_rounds(measuring):
    times = measuring.in_turns({"a": lambda: 1.0}, 2, lambda: 0.06)
    assert times.kept == []
    assert times.discarded == 2 * measuring.TRIES
    assert len(measuring.in_turns({"a": lambda: 1.0}, 2, lambda: 0.06, 0.1).kept) == 2


def test_foreign_load_is_what_is_busy_and_not_ours(measuring, monkeypatch):
    seconds = iter([(100.0, 50.0, 20.0), (110.0, 58.0, 25.0), (120.0, 60.0, 27.1)])
    monkeypatch.setattr(measuring.ForeignLoad, "_now", lambda _: next(seconds))
    foreign = measuring.ForeignLoad()
    assert foreign() == pytest.approx(0.3)
    assert foreign() == 0  # ours are counted in other ticks: never below nothing


def test_our_own_work_is_no_foreign_load(measuring):
    foreign = measuring.ForeignLoad()
    every, busy, ours = foreign._now()
    assert 0 < ours <= busy < every


def facts(name, **more):
    return {
        "name": name, "allocator": "default", "flops": None, "runs": name,
        "ready_mb": 300, "peak_mb": 450, "faults": 7, **more,
    }  # fmt: skip


def test_ratios_are_of_the_same_round(results):
    row = results.row(facts("fast"), [1.0, 2.0, 8.0], [3.0, 8.0, 24.0])
    assert row["times_as_fast"] == 3.0  # not the ratio of the medians, 8 / 2
    assert (row["median_seconds"], row["least_seconds"]) == (2.0, 1.0)


def case(results):
    product = results.PRODUCTS["torch.mm"]
    rows = [
        results.row(facts("plain", flops=product), [4.0, 5.0], [4.0, 5.0]) | {"difference": 0.0},
        results.row(facts("fast", flops=product, runs="plain"), [2.0, 2.0], [4.0, 5.0])
        | {"difference": 2e-6},
        results.row({"name": "peer", "allocator": "default", "absent": "not here"}, [], [4.0, 5.0]),
        results.row(facts("torch.mm", flops=product), [1.0, 1.5], [4.0, 5.0]),
    ]
    return {"case": "a case", "rounds": 2, "discarded": 3, "rows": rows}


def test_a_table_shows_ratios_the_machines_best_memory_and_who_was_absent(results):
    text = results.table([json.loads(json.dumps(case(results)))])
    assert text.startswith("a case: 2 rounds, 3 discarded\n\n| |")
    fast = "| fast (plain) | default | 2.00 s | 2.00 s | 2.25 | 9 | 50% | 2.0e-06 "
    assert f"{fast}| 300 MB | 150 MB | 7 |" in text
    assert "| peer | absent: not here |" in text
    assert "| torch.mm | default | 1.25 s | 1.00 s |  | 17 | 100% |  |" in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {12}


def test_a_contender_without_a_quiet_round_has_no_seconds(results):
    row = results.row(facts("plain"), [], [])
    text = results.table([{"case": "a case", "rounds": 0, "discarded": 9, "rows": [row]}])
    assert "| plain | default | no quiet round |" in text


def test_the_best_product_is_the_machines_peak(results):
    rows = [
        {"name": name, "flops": 8.0, "least_seconds": seconds}
        for name, seconds in (("torch.mm", 4.0), ("packed product", 2.0), ("fast", 0.1))
    ]
    assert results.peak_rate(rows) == 4.0
    assert results.peak_rate(rows[2:]) is None


def test_a_part_of_the_results_leaves_the_others(results, tmp_path):
    path = tmp_path / "results.json"
    results.write(path, "first", {"a": 1})
    found = results.write(path, "second", {"b": 2})
    assert (found["a"], found["b"], found["command"]) == (1, 2, "second")
    assert json.loads(path.read_text()) == found


@pytest.mark.parametrize("seconds", [0.0, 1e-5, 0.0213, 5.57, 151.4])
def test_durations_have_a_unit(results, seconds):
    assert results.duration(seconds).endswith(("ms", " s"))


def test_the_largest_difference_is_of_arrays_that_both_have(measuring, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.zeros(2), z=np.zeros(1))
    np.savez(tmp_path / "b.npz", x=np.array([0, -0.5, 0.1]), y=np.ones(3))
    np.savez(tmp_path / "c.npz")
    assert measuring.difference(tmp_path / "a.npz", tmp_path / "b.npz") == 0.5
    assert measuring.difference(tmp_path / "a.npz", tmp_path / "c.npz") is None


STUB = f"""
import os, sys
sys.path.append({str(BENCHMARKS)!r})
import numpy as np
from contender import AbsentError, Runner, serve

def make():
    if sys.argv[1] == "absent":
        raise AbsentError("it is not installed")
    def call(argument):
        print("a library talks")
        held = np.ones(int(sys.argv[2]) * 125_000)  # so many MB
        return {{"x": held[:3] * float(argument.get("times", 1))}}
    return Runner(call, os.environ.get("MALLOC_TRIM_THRESHOLD_", "nothing set"))

serve(make)
"""


@pytest.fixture
def stub(measuring, tmp_path):
    path = tmp_path / "stub.py"
    path.write_text(STUB)
    return lambda name, size=1, allocator="default": measuring.Contender(
        name, (str(path), name, str(size)), allocator, 1e6
    )


@pytest.mark.slow
def test_contenders_are_processes_with_their_own_memory_and_allocator(
    measuring, results, stub, monkeypatch, capsys
):
    monkeypatch.setattr(measuring, "LEAST_SECONDS", 0.01)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "128")  # of the shell: no part of "default"
    large = np.ones(40_000_000)  # a process inherits the peak of the one that starts it
    assert large.nbytes == 320_000_000
    contenders = [
        stub("plain"),
        stub("large", 100),
        stub("plain", allocator="kept"),
        stub("absent"),
    ]
    found = measuring.measure("a case", contenders, rounds=2, most_foreign=1.0)
    plain, much, kept, absent = found["rows"]
    assert found["rounds"] == 2
    assert plain["runs"] == "nothing set"
    assert kept["runs"] == measuring.ALLOCATORS["kept"]["MALLOC_TRIM_THRESHOLD_"]
    assert plain["peak_mb"] < 150
    assert 90 <= much["peak_mb"] - much["ready_mb"] <= 150
    assert absent["absent"] == "it is not installed"
    assert plain["difference"] == much["difference"] == 0
    assert "a library talks" not in capsys.readouterr().out
    assert "absent: it is not installed" in results.table([found])


@pytest.mark.slow
def test_a_request_has_an_argument_and_leaves_its_result(measuring, stub, tmp_path):
    with measuring.Worker(stub("plain")) as worker:
        assert worker.seconds({"times": "4"}, times=3, save=tmp_path / "x.npz") > 0
    with np.load(tmp_path / "x.npz") as found:
        assert found["x"].tolist() == [4, 4, 4]


@pytest.mark.slow
def test_a_contender_that_fails_is_an_error_of_the_measurement(measuring, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no')")
    contender = measuring.Contender("plain", (str(broken),))
    with measuring.Worker(contender) as worker, pytest.raises(RuntimeError, match="plain ended"):
        worker.seconds()


@pytest.mark.slow
def test_an_absent_contender_is_asked_for_nothing(measuring, stub):
    with measuring.Worker(stub("absent")) as worker:
        assert worker.absent == "it is not installed"
        with pytest.raises(RuntimeError, match="absent is absent: it is not installed"):
            worker.seconds()


def options(script, monkeypatch, *arguments):
    command = script("command")
    monkeypatch.setattr(sys, "argv", ["encoder.py", *map(str, arguments)])
    parser = command.parser("What it does.", Path("results.json"), rounds=7)
    given = parser.parse_args()
    assert not command.answered(parser, given, str)
    return command.told(parser, given)


def test_the_command_that_is_kept_has_no_places_of_the_machine(script, monkeypatch, tmp_path):
    given = ("--data", tmp_path, "--results", tmp_path / "r.json", "--rounds", 3, "--reference")
    assert options(script, monkeypatch, *given) == (
        "python benchmarks/encoder.py --rounds 3 --reference"
    )


def test_a_trial_on_a_busy_machine_is_not_the_committed_result(script, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        options(script, monkeypatch, "--data", "x", "--most-foreign", 1)
    assert "give --results FILE" in capsys.readouterr().err


def test_settings_of_the_allocator_differ(measuring):
    pairs = itertools.combinations(measuring.ALLOCATORS.values(), 2)
    assert all(one != other for one, other in pairs)
