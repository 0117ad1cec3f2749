"""The benchmark of everything mode: the transcription, its steps, and what "the same masks" is."""

import json
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from samphire.compat import SamAutomaticMaskGenerator
from samphire.compat.segment_anything.modeling.sam import from_samphire
from samphire.masks import Masks
from samphire.predict.reduce import can_compile

SIDE = 64  # of the tiny model's input


@pytest.fixture(scope="module")
def published(script):
    return script("published_everything")


@pytest.fixture(scope="module")
def work(script):
    return script("everything_work")


@pytest.fixture(scope="module")
def same(script):
    return script("same_masks")


@pytest.fixture
def lenient(published, monkeypatch):
    """The tiny model is untrained: keep masks that a trained one's filters would drop."""
    monkeypatch.setattr(published, "PREDICTED_IOU", -np.inf)
    monkeypatch.setattr(published, "STABILITY", 0.0)
    monkeypatch.setattr(published, "BOX_NMS", 0.999)


@pytest.fixture
def photo():
    return np.random.default_rng(1).integers(0, 256, (75, 100, 3), dtype=np.uint8)


def found(published, sam, photo):
    picture = published.embed(sam, photo, SIDE)
    points = published.points_of(5, picture.original)
    return picture, [published.batch(sam, picture, points[at : at + 10]) for at in range(0, 25, 10)]


@pytest.mark.slow
def test_the_transcription_gives_the_published_records(published, lenient, tiny_sam, photo):
    settings = {"points_per_side": 5, "pred_iou_thresh": 0, "box_nms_thresh": 0.999}
    theirs = SamAutomaticMaskGenerator(
        from_samphire(tiny_sam), stability_score_thresh=0, **settings
    ).generate(photo)
    picture, batches = found(published, tiny_sam, photo)
    ours = published.settle(batches, picture.original)
    assert len(ours) == len(theirs) > 5
    for one, other in zip(ours, theirs, strict=True):
        assert one["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-5)
        assert one["point_coords"] == [pytest.approx(other["point_coords"][0])]
        assert (one["bbox"], one["area"]) == (other["bbox"], other["area"])
        assert np.count_nonzero(one["segmentation"] != other["segmentation"]) <= 1


def test_the_transcription_filters_by_predicted_iou_and_stability(
    published, monkeypatch, tiny_sam, photo
):
    monkeypatch.setattr(published, "STABILITY", 0.0)
    monkeypatch.setattr(published, "PREDICTED_IOU", -np.inf)
    _, every = found(published, tiny_sam, photo)
    scores = torch.cat([each.iou for each in every])
    middle = float(scores.median())
    monkeypatch.setattr(published, "PREDICTED_IOU", middle)
    _, some = found(published, tiny_sam, photo)
    assert len(scores) == 75
    assert sum(len(each.iou) for each in some) == int((scores > middle).sum())
    assert all(len(each.runs) == len(each.iou) for each in some)


def test_rivals_are_settled_by_their_boxes(published):
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5.0]])
    assert published._nms(boxes, torch.tensor([0.5, 0.9, 0.7])) == [1, 2]


def test_steps_that_were_kept_give_the_same_records(
    published, work, lenient, tiny_sam, photo, tmp_path
):
    picture, batches = found(published, tiny_sam, photo)
    for index, batch in enumerate(batches):
        np.savez(tmp_path / f"batch-{index:03}.npz", **work._written(batch))
    files = sorted(tmp_path.glob("batch-*.npz"))
    again = work._record_columns(
        published.settle([work._read(file) for file in files], picture.original)
    )
    direct = work._record_columns(published.settle(batches, picture.original))
    assert len(direct["candidate"]) > 5
    for name, column in direct.items():
        np.testing.assert_array_equal(again[name], column)


class Stub:
    """Takes the place of a worker; counts what it was asked for."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, contender):
        self.contender, self.process = contender, type("P", (), {"pid": 1})
        self.ready, self.last = {"ready_mb": 300}, {"faults": 5, "peak_mb": 900}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def seconds(self, argument, *, save=None):
        self.asked.append((self.contender, argument["step"]))
        if save is not None:
            np.savez(save, x=np.zeros(1))
        return {"published": 8.0, "plain": 4.0, "fast": 1.0}[self.contender]


@pytest.fixture
def run(script, monkeypatch):
    module = script("published_run")
    Stub.asked.clear()
    monkeypatch.setattr(module, "Worker", Stub)
    monkeypatch.setattr(module, "ForeignLoad", lambda _: lambda: 0.0)
    return module


CONTENDERS = {name: name for name in ("published", "plain", "fast")}


def test_each_call_of_the_published_algorithm_is_a_round_with_both_paths(run, tmp_path):
    steps = run.measure_steps(CONTENDERS, tmp_path / "run", 9, 0.05)["steps"]
    assert [step["step"] for step in steps] == ["encode", "batch-000", "batch-001", "settle"]
    assert [list(step["seconds"]) for step in steps] == [
        ["published"], list(CONTENDERS), list(CONTENDERS), ["published"],
    ]  # fmt: skip
    table = run.table({"default": {"steps": steps}}, {"default": {"plain": 16.0, "fast": 4.0}})
    last = table.splitlines()[-1]
    assert "| 2 x 8.00 s | 8.00 s | 32.0 s | 2.0 | 8.0 | 2.0 | 8.0 | 0 | 300 MB | 600 MB |" in last
    assert {line.count("|") for line in table.splitlines()} == {14}


def test_a_run_that_was_stopped_goes_on(run, tmp_path):
    first = run.measure_steps(CONTENDERS, tmp_path / "run", 9, 0.05)
    (tmp_path / "run" / "batch-001.json").unlink()
    Stub.asked.clear()
    assert run.measure_steps(CONTENDERS, tmp_path / "run", 9, 0.05) == first
    assert [each for each in Stub.asked if each[1] != "encode"] == [
        (name, "batch-001") for name in CONTENDERS
    ]
    Stub.asked.clear()
    assert run.measure_steps(CONTENDERS, tmp_path / "run", 9, 0.05) == first
    assert Stub.asked == []


def test_a_step_without_a_quiet_round_stops_and_keeps_the_others(run, monkeypatch, tmp_path):
    monkeypatch.setattr(run, "ForeignLoad", lambda _: lambda: 0.5)
    with pytest.raises(SystemExit, match="no quiet round for encode"):
        run.measure_steps(CONTENDERS, tmp_path / "run", 9, 0.05)
    assert not (tmp_path / "run" / "encode.json").exists()


def test_the_path_without_the_extra_finds_no_numba(script, monkeypatch):
    everything = script("everything")
    monkeypatch.setattr(everything, "ours", lambda *arguments: arguments)
    monkeypatch.setitem(sys.modules, "numba", Namespace(__spec__=Namespace()))
    given = {"model": "vit_t", "preset": "default", "points": 4, "data": Path()}
    for name, hidden in (("fast", False), (everything.BARE, True)):
        asked = everything.work(Namespace(worker=name, **given))
        assert asked == ("vit_t", "fast", "default", 4, Path())
        assert (find_spec("numba") is None) == hidden
    assert not can_compile.__wrapped__()


def masks_columns(work, dense, points, scores):
    from dataclasses import replace

    masks = Masks.from_arrays(dense)
    return work.columns(
        replace(
            masks,
            point=np.array(points, np.float64),
            candidate=np.full(len(masks), 2),
            predicted_iou=np.array(scores),
        )
    )


@pytest.fixture
def dense():
    made = np.zeros((2, 30, 40), np.bool_)
    made[0, 5:20, 5:30] = made[1, 10:12, 1:4] = True
    return made


POINTS = [(10.5, 10.5), (2.5, 11.5)]


def test_masks_in_another_order_are_the_same(same, work, dense):
    left = masks_columns(work, dense, POINTS, [0.9, 0.8])
    right = masks_columns(work, dense[::-1], POINTS[::-1], [0.8, 0.900001])
    told = same.difference(left, right, lambda *_: pytest.fail("no pixel differs"))
    assert told.same
    assert (told.masks, told.missing, told.added, told.pixels) == (2, 0, 0, 0)
    assert told.predicted_iou == pytest.approx(1e-6, rel=0.1)


def test_pixels_may_differ_only_where_the_logit_is_within_rounding(same, work, dense):
    left = masks_columns(work, dense, POINTS, [0.9, 0.8])
    other = dense.copy()
    other[0, 6, 7] = False
    right = masks_columns(work, other, POINTS, [0.9, 0.8])
    asked = []

    def logits(key, pixels):
        asked.append((key, pixels.tolist()))
        return np.full(len(pixels), -5e-5, np.float32)

    told = same.difference(left, right, logits)
    assert asked == [((10.5, 10.5, 2), [[6, 7]])]
    assert told.same
    assert (told.pixels, told.doubtful) == (1, 0)
    assert told.largest_logit == pytest.approx(5e-5)
    wrong = same.difference(left, right, lambda _, pixels: np.full(len(pixels), 2e-4))
    assert not wrong.same
    assert wrong.doubtful == 1


def test_another_box_and_another_record_are_not_the_same(same, work, dense):
    left = masks_columns(work, dense, POINTS, [0.9, 0.8])
    larger = dense.copy()
    larger[0, 20, 5:30] = True
    right = masks_columns(work, larger, POINTS, [0.9, 0.8])
    told = same.difference(left, right, lambda _, pixels: np.zeros(len(pixels)))
    assert (told.boxes, told.pixels, told.same) == (1, 25, False)
    fewer = masks_columns(work, dense[:1], POINTS[:1], [0.9])
    told = same.difference(left, fewer, lambda *_: None)
    assert (told.missing, told.added, told.same) == (1, 0, False)
    assert same.difference(fewer, left, lambda *_: None).added == 1
    rows = [{"photo": "truck.jpg", "against": "fast", **told.as_json()}]
    assert "| fast | truck.jpg | 2 | 1 + 0 | 0 | 0 | 0 | 0.0e+00 | 0.0e+00 | NO |" in same.summary(
        json.loads(json.dumps(rows))
    )


def test_the_logit_of_a_pixel_is_the_plain_models(same, work, tiny_engine, photo):
    import samphire
    from samphire.predict.everything_settings import EverythingSettings

    lenient = EverythingSettings(
        points_per_side=2, min_predicted_iou=-1e9, min_stability=0, box_nms_iou=1.0
    )
    masks = samphire.segment_everything(tiny_engine, photo, lenient)
    columns = work.columns(masks)
    embedding = samphire.embed(tiny_engine, photo)
    rows, width = np.mgrid[:75, :100]
    every = np.stack([rows.ravel(), width.ravel()], axis=1)
    for key, index in same.keyed(columns).items():
        logits = same.logits_at(tiny_engine, embedding, key, every).reshape(75, 100)
        different = (logits > 0) != masks[[index]].to_array()[0]
        assert (np.abs(logits[different]) < same.ROUNDING).all()
    assert len(masks) > 3


def test_tables_are_made_of_what_was_measured_so_far(script):
    everything = script("everything")
    row = {
        "name": "plain", "allocator": "default", "median_seconds": 16.0, "least_seconds": 15.0,
        "times_as_fast": 1.0, "ready_mb": 1, "peak_mb": 2, "faults": 3, "runs": "plain",
    }  # fmt: skip
    case = {"case": "everything", "rounds": 1, "discarded": 0, "rows": [row]}
    assert everything.tables({"default": case}).startswith("everything: 1 rounds")
    assert everything.tables({"same_masks": []}).startswith("| plain against | photo |")
    assert everything.tables({}) == ""
