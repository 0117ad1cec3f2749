"""The benchmarks of encoder, clicks and start: who takes part, what they give, what they tell."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from samphire.embedding import ImageEmbedding
from samphire.engines.torch_engine import TorchEngine
from samphire.model import variants


@pytest.fixture(scope="module")
def engines(script):
    return script("engines")


@pytest.fixture
def sample(tmp_path):
    (tmp_path / "photos").mkdir()
    photo = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photos" / "truck.jpg"), photo)
    return tmp_path


def test_random_weights_leave_no_table_at_zero(engines):
    sam = variants.vit(16, 2, 2, (1,), table_side=64)
    engines.random_weights(sam)
    tables = [
        value
        for name, value in sam.state_dict().items()
        if "rel_pos" in name or "pos_embed" in name
    ]
    assert len(tables) == 5
    assert all(table.std() > 0.1 for table in tables)
    features = TorchEngine(sam).encode(np.ones((1, 3, 64, 64), np.float32))
    assert 0.1 < features.std() < 10


@pytest.mark.slow
def test_a_model_without_a_file_gets_the_same_random_numbers_each_time(
    engines, monkeypatch, tmp_path
):
    monkeypatch.setattr(engines, "WORK", tmp_path)
    first = load_file(engines.random_file("tiny"))
    engines.random_file("tiny").unlink()
    again = load_file(engines.random_file("tiny"))
    assert all(np.array_equal(again[name], value) for name, value in first.items())
    assert engines.state_dict("tiny").keys() == first.keys()


@pytest.mark.slow
def test_an_engine_says_by_which_path_it_runs(engines, monkeypatch, tmp_path):
    monkeypatch.setattr(engines, "WORK", tmp_path)
    asked = []

    def load(model, *, device, progress, path):
        asked.append(path)
        raise engines.EngineUnavailableError("no fast path for this")

    assert engines.engine("tiny", "plain").info.path == "plain"
    monkeypatch.setattr(engines.samphire, "load", load)
    with pytest.raises(engines.AbsentError, match="no fast path"):
        engines.engine("tiny", "fast")
    assert asked == ["fast"]


def test_products_of_matrices_say_what_they_are(engines, script):
    products = script("results").PRODUCTS
    for name in products:
        runner = engines.product(name)
        assert runner.runs == name
    assert products["torch.mm"] == 2 * 2048**3


def test_encoder_rows_are_plain_first_peers_last_and_each_knows_its_flops(script):
    encoder = script("encoder")
    rows = encoder.contenders("vit_b", Path("data"), reference=False)
    assert [(row.name, row.allocator) for row in rows] == [
        ("plain", "default"), ("plain", "kept"), ("fast", "default"), ("fast", "kept"),
        ("transformers", "default"), ("torch.mm", "default"), ("packed product", "default"),
    ]  # fmt: skip
    assert rows[0].flops == 942e9
    assert rows[-2].flops == 2 * 2048**3
    names = [row.name for row in encoder.contenders("vit_b", Path("data"), reference=True)]
    assert "segment_anything" in names


@pytest.mark.slow
def test_an_encoders_process_gives_the_features(script, engines, monkeypatch, sample, tmp_path):
    monkeypatch.setattr(engines, "WORK", tmp_path)
    encoder = script("encoder")
    given = argparse.Namespace(worker="fast", model="tiny", data=sample)
    (features,) = encoder.work(given).call({}).values()
    assert features.shape == (1, 256, 4, 4)
    assert np.isfinite(features).all()


def test_click_rows_count_clicks(script):
    clicks = script("clicks")
    given = argparse.Namespace(model="vit_t", data="data", embedding="e", reference=False)
    rows = {row.name: row for row in clicks.contenders("64", given)}
    assert rows["plain"].flops == 64 * clicks.FLOPS
    assert {"transformers", "onnxruntime", "openvino"} <= rows.keys()
    assert "segment_anything" not in rows
    first = [row.name for row in clicks.contenders("first", given)]
    assert "transformers" not in first
    assert "fast" in first


def embedding(tiny_engine) -> ImageEmbedding:
    import samphire

    return samphire.embed(tiny_engine, np.zeros((60, 90, 3), np.uint8))


def test_the_first_click_of_a_picture_begins_a_session(script, tiny_engine, monkeypatch):
    clicks, sessions = script("clicks"), []
    made = embedding(tiny_engine)
    points = clicks.places(3, made)
    session = TorchEngine.session
    monkeypatch.setattr(
        TorchEngine, "session", lambda self, e: sessions.append(e) or session(self, e)
    )
    for anew in (False, True):
        sessions.clear()
        runner = clicks.ours(tiny_engine, made, points, anew=anew)
        answers = [runner.call({}), runner.call({})]
        assert (sessions[0] is sessions[1]) != anew
        assert answers[0]["best"].shape == (3, 16, 16)
        np.testing.assert_array_equal(answers[0]["best"], answers[1]["best"])


def test_the_best_mask_has_the_best_score(script):
    logits = np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)
    scores = np.array([[0.1, 0.9, 0.2], [0.9, 0.1, 0.2]])
    assert script("peers").best(logits, scores).ravel().tolist() == [1, 3]


def test_clicks_are_spread_over_the_picture(script, tiny_engine):
    made = embedding(tiny_engine)
    points = script("clicks").places(64, made)
    assert len(np.unique(points, axis=0)) == 64
    assert (points > 0).all()
    assert (points < [64, 43]).all()


@pytest.mark.slow
def test_transformers_gives_our_masks_on_our_weights(script, engines, monkeypatch, rng):
    peers = script("peers")
    sam = variants._sam(variants.tiny().image_encoder, grid=64, input_side=1024).eval()
    engines.random_weights(sam)
    monkeypatch.setattr(peers, "state_dict", lambda _: sam.state_dict())
    features = rng.standard_normal((1, 256, 64, 64)).astype(np.float32)
    points = np.array([[300, 200], [700, 900]], np.float32)
    ones = torch.ones(2, 1, dtype=torch.int64)
    with torch.inference_mode():
        logits, scores = sam.decode(
            torch.tensor(features), (torch.tensor(points)[:, None], ones), None, None, True
        )
    found = peers.decoder("transformers", "vit_t", features, points).call({})["best"]
    np.testing.assert_allclose(found, peers.best(logits.numpy(), scores.numpy()), atol=1e-5)


def test_a_peer_that_is_not_installed_is_absent(script):
    peers = script("peers")
    with pytest.raises(peers.AbsentError, match="some_peer is not installed"):
        peers._told("some_peer")


def test_a_start_is_compared_with_the_sum_of_its_parts(script):
    start, measuring = script("start"), script("measuring")
    parts = dict.fromkeys(start.PARTS, 1.0)
    kept = [{"whole": whole, **parts, "samphire": 0.2} for whole in (7.7, 7.0, 14.0)]
    found = start.summary(measuring.Times(kept, 4), "vit_t")
    assert found["ratio"] == pytest.approx(1.1)
    assert found["least_ratio"] == 1.0
    text = start.table(found)
    assert "vit_t: 3 rounds, 4 discarded" in text
    assert "| import samphire (no part) | 200 ms | 200 ms |" in text
    assert "The whole is 1.10 times the sum of its parts (aim 1.1)." in text
    assert "The whole" not in start.table(start.summary(measuring.Times([], 27), "vit_t"))


def test_a_round_of_starts_is_the_whole_the_interpreter_and_one_process_of_parts(
    script, monkeypatch, tmp_path
):
    start, ran = script("start"), []

    def run(arguments):
        ran.append(arguments)
        names = (*start.PARTS[1:], "samphire")
        return str({name: len(ran) + 0.5 for name in names}).replace("'", '"')

    monkeypatch.setattr(start, "run", run)
    given = argparse.Namespace(model="vit_t", data=tmp_path)
    calls = start.calls_of(given, tmp_path)
    seconds = {name: call() for name, call in calls.items()}
    assert len(ran) == 3
    assert ran[0][:3] == ["-m", "samphire.cli", "segment"]
    assert "--no-cache" in ran[0]
    assert seconds["encode"] == seconds["packages"] == 3.5
    assert list(seconds) == ["whole", *start.PARTS, "samphire"]


def test_both_sides_of_a_start_click_on_the_same_point(script):
    assert script("start").POINT == script("start_parts").POINT


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize(
    "part",
    [
        *("vit_t: stem", "vit_t: a bottleneck", "vit_t: a block of windows", "vit_t: neck"),
        *("click: transformer", "click: upscaling", "everything: a mask cut out"),
    ],
)
def test_both_sides_of_a_rewrite_do_the_same_work(script, vit_t, part):
    plain, fast = (
        script("rewrites").work(argparse.Namespace(part=part, worker=path)).call({})["result"]
        for path in ("plain", "fast")
    )
    assert plain.std() > 0
    np.testing.assert_allclose(fast, plain, atol=1e-5 * np.abs(plain).max())


def test_a_rewrites_gain_is_of_its_medians(script):
    row = {"difference": 2e-6, "allocator": "default"}
    rows = [
        row | {"name": name, "allocator": allocator, "median_seconds": seconds}
        for name, allocator, seconds in [
            *(("plain", "default", 0.4), ("plain", "kept", 0.3)),
            *(("fast", "default", 0.1), ("fast", "kept", 0.1)),
        ]
    ]
    table = script("rewrites").tables({"click: upscaling": {"rows": rows}})
    assert "| click: upscaling | 400 ms | 300 ms | 100 ms | 100 ms | 4.0 | 3.0 | 2.0e-06 |" in table
