"""``samphire embed``: pictures encoded once, for every command and prompt to come."""

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.cli.__main__ import cli
from samphire.engines.torch_engine import TorchEngine
from samphire.formats.embedding_cache import shared_folder

pytestmark = pytest.mark.slow


def save_picture(path, seed=0, size=(48, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def encoded(monkeypatch):
    """How many pictures the encoder saw, call by call."""
    calls: list[int] = []
    encode = TorchEngine.encode

    def counting(engine, pixels):
        calls.append(len(pixels))
        return encode(engine, pixels)

    monkeypatch.setattr(TorchEngine, "encode", counting)
    return calls


@pytest.fixture
def invoke(tiny_weights, tmp_path, monkeypatch):
    """Run a command with the tiny model beside a folder ``in`` of three pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAMPHIRE_MAX_CACHE", raising=False)
    for index, name in enumerate(("a.png", "b.png", "deep/c.png")):
        save_picture(tmp_path / "in" / name, index)

    def run(command, *arguments, **options):
        line = [command, "--model", str(tiny_weights), *map(str, arguments)]
        return CliRunner().invoke(cli, line, standalone_mode=False, **options)

    return run


def test_a_folder_is_encoded_once_and_then_no_more(invoke, encoded):
    first = invoke("embed", "in")
    assert first.return_value == 0, first.exception
    assert encoded == [1, 1, 1]
    assert first.stdout == ""
    assert "3 encoded, 0 from the cache, 0 done before, 0 failed" in first.stderr
    assert f"the cache: {shared_folder()}, " in first.stderr
    assert len(list(shared_folder().glob("*.embedding.safetensors"))) == 3
    again = invoke("embed", "in")
    assert encoded == [1, 1, 1]
    assert "0 encoded, 3 from the cache, 0 done before, 0 failed" in again.stderr
    assert "a.png: 80x48, " in again.stderr


def test_segment_makes_no_encoder_call_after_embed_whatever_the_prompt(invoke, encoded):
    invoke("embed", "in")
    encoded.clear()
    result = invoke("segment", "in", "--point", "30,20", "--output", "one")
    assert result.return_value == 0, result.exception
    result = invoke("segment", "in", "--box", "3,3,50,40", "--output", "two", "--json")
    assert [json.loads(line)["embedding"] for line in result.stdout.splitlines()] == ["cached"] * 3
    assert encoded == []
    invoke("segment", "in", "--point", "30,20", "--output", "three", "--no-cache")
    assert encoded == [1, 1, 1]
    for name in ("a", "b", "deep/c"):
        from pathlib import Path

        cached = Path(f"one/{name}.mask.png").read_bytes()
        assert cached == Path(f"three/{name}.mask.png").read_bytes()


def test_segment_alone_keeps_what_it_encodes_but_not_with_no_cache(invoke, encoded):
    invoke("segment", "in/a.png", "--point", "30,20", "--no-cache", "--output", "0.png")
    assert not shared_folder().exists()
    invoke("segment", "in/a.png", "--point", "30,20", "--output", "1.png")
    invoke("segment", "in/a.png", "--point", "10,10", "--output", "2.png")
    assert encoded == [1, 1]


def test_files_are_written_and_segment_takes_them(invoke, encoded, loaded_engine, tmp_path):
    result = invoke("embed", "in", "--output", "out", "--no-cache")
    assert result.return_value == 0, result.exception
    assert result.stdout.splitlines() == [
        f"out/{name}.embedding.safetensors" for name in ("a", "b", "deep/c")
    ]
    assert not shared_folder().exists()
    found = samphire.load_embedding("out/deep/c.embedding.safetensors")
    assert found.equal(samphire.embed(loaded_engine, "in/deep/c.png"))
    assert found.image == "c.png"
    encoded.clear()
    result = invoke("segment", "out", "--point", "30,20", "--output", "masks")
    assert result.stdout.splitlines() == [f"masks/{n}.mask.png" for n in ("a", "b", "deep/c")]
    expected = samphire.segment(loaded_engine, found, points=[(30, 20)])
    masks = samphire.load_masks("masks/deep/c.mask.png")
    np.testing.assert_array_equal(masks.to_array(), expected.to_array())
    invoke("segment", "out/a.embedding.safetensors", "--point", "30,20", "--output", "one/")
    assert (tmp_path / "one" / "a.mask.png").exists()
    assert encoded == []


def test_an_embedding_has_no_picture_to_draw_on(invoke):
    invoke("embed", "in", "--output", "out")
    path = "out/a.embedding.safetensors"
    result = invoke("segment", path, "--point", "30,20", "--overlay")
    assert "a.embedding.safetensors is an embedding, it holds no picture to draw on" in str(
        result.exception
    )


def test_a_second_run_into_a_folder_skips_and_a_removed_file_is_made_from_the_cache(
    invoke, encoded, tmp_path
):
    invoke("embed", "in", "--output", "out")
    (tmp_path / "out" / "b.embedding.safetensors").unlink()
    again = invoke("embed", "in", "--output", "out")
    assert "0 encoded, 1 from the cache, 2 done before, 0 failed" in again.stderr
    assert len(encoded) == 3
    other = invoke("embed", "in", "--output", "out", "--max-pixels", "5000")
    assert "3 done before" in other.stderr


@pytest.mark.parametrize("output", [[], ["--output", "out"]])
def test_bad_files_are_told_and_skipped(invoke, tmp_path, output):
    (tmp_path / "in" / "broken.jpg").write_bytes(b"<html>not an image</html>")
    result = invoke("embed", "in", *output)
    assert result.return_value == 1
    assert "3 encoded, 0 from the cache, 0 done before, 1 failed" in result.stderr
    assert "  broken.jpg: broken.jpg is " in result.stderr


def test_json_tells_every_image(invoke, tmp_path):
    (tmp_path / "in" / "broken.jpg").write_bytes(b"")
    invoke("embed", "in/a.png")
    result = invoke("embed", "in", "--json")
    records = {record["image"]: record for record in map(json.loads, result.stdout.splitlines())}
    assert {name: record["status"] for name, record in records.items()} == {
        "a.png": "done",
        "b.png": "done",
        "broken.jpg": "failed",
        "deep/c.png": "done",
    }
    assert (records["a.png"]["embedding"], records["b.png"]["embedding"]) == ("cached", "made")
    assert (records["a.png"]["width"], records["a.png"]["height"]) == (80, 48)
    assert "error" in records["broken.jpg"]


def test_the_cache_is_bounded_by_option_and_by_environment(invoke, encoded, monkeypatch):
    invoke("embed", "in/a.png")
    one = sum(path.stat().st_size for path in shared_folder().glob("*.safetensors"))
    result = invoke("embed", "in", "--max-cache", f"{2 * one + 100}")
    assert result.return_value == 0
    assert len(list(shared_folder().glob("*.safetensors"))) == 2
    monkeypatch.setenv("SAMPHIRE_MAX_CACHE", f"{one + 100}")
    save_picture(shared_folder().parents[1] / "in" / "new.png", 9)
    invoke("segment", "in/new.png", "--point", "3,3")
    assert len(list(shared_folder().glob("*.safetensors"))) == 1
    monkeypatch.setenv("SAMPHIRE_MAX_CACHE", "lots")
    result = invoke("embed", "in")
    assert result.exception.exit_code == 2
    assert "'lots' is not a number of bytes" in result.exception.format_message()


def test_a_page_and_a_window_are_the_pixels_that_are_embedded(invoke, tmp_path, loaded_engine, rng):
    pages = [Image.fromarray(rng.integers(0, 4000, (20, 30)).astype(np.uint16)) for _ in range(2)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    chosen = ["--page", "1", "--window", "-100,2000"]
    result = invoke("embed", "scan.tif", *chosen, "--output", "out")
    assert result.return_value == 0, result.exception
    found = samphire.load_embedding("out/scan.embedding.safetensors")
    expected = samphire.embed(loaded_engine, tmp_path / "scan.tif", page=1, window=(-100, 2000))
    assert found.equal(expected)
    invoke("segment", "scan.tif", *chosen, "--point", "9,9", "--output", "m.json", "--overlay")
    masks = samphire.segment(loaded_engine, expected, points=[(9, 9)])
    np.testing.assert_array_equal(samphire.load_masks("m.json").to_array(), masks.to_array())
    again = invoke("embed", "scan.tif", "--output", "out")
    assert again.return_value == 1  # other pixels into the same file need --force
    assert "--force" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-"], "stdin"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["in", "--no-cache"], "give --output FOLDER"),
        (["in", "--output", "in"], "embeddings would be taken for images"),
        (["in", "--output", "in/a.png"], "several images need a folder for the embeddings"),
        (["in", "--window", "5,1"], "the lower, which becomes black, first"),
        (["in", "--window", "5"], "'5' is not LOW,HIGH: expected numbers like -160,240"),
        (["in", "--page", "-1"], "-1 is not in the range x>=0"),
        (["in", "--max-cache", "0"], "'0' is not a number of bytes: expected one like 500MB"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(invoke, arguments, message):
    result = invoke("embed", *arguments, "--model", "no-such-model")
    assert result.exception.exit_code == 2
    assert message in result.exception.format_message()


@pytest.mark.weights
def test_with_the_real_model_a_second_run_encodes_nothing(data, tmp_path, vit_t, monkeypatch):
    from samphire.formats.embedding_cache import EmbeddingCache

    calls: list[int] = []
    encode = TorchEngine.encode
    monkeypatch.setattr(
        TorchEngine,
        "encode",
        lambda engine, pixels: calls.append(len(pixels)) or encode(engine, pixels),
    )
    photo = data / "photos" / "dog.jpg"
    first = samphire.embed(vit_t, photo, cache=EmbeddingCache(tmp_path))
    second = samphire.embed(vit_t, photo, cache=EmbeddingCache(tmp_path))
    assert calls == [1]
    assert second.equal(first)


@pytest.mark.parametrize("output", [[], ["--output", "out"]])
def test_a_pipe_among_the_files_is_told_and_never_opened(invoke, tmp_path, output):
    os.mkfifo(tmp_path / "in" / "b1.png")
    result = invoke("embed", "in", *output)
    assert result.return_value == 1
    assert "3 encoded, 0 from the cache, 0 done before, 1 failed" in result.stderr
    assert "  b1.png: in/b1.png is a pipe, a socket or a device: expected" in result.stderr


def test_another_window_is_not_done_before(invoke, tmp_path, loaded_engine, rng):
    pixels = rng.integers(0, 4000, (20, 30)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    line = ["embed", "scan.png", "--output", "out"]
    invoke(*line, "--window", "0,1000")
    assert "1 done before, 0 failed" in invoke(*line, "--window", "0,1000").stderr
    assert "0 done before, 1 failed" in invoke(*line, "--window", "0,3000").stderr
    assert invoke(*line, "--window", "0,3000", "--force").return_value == 0
    found = samphire.load_embedding("out/scan.embedding.safetensors")
    assert found.equal(samphire.embed(loaded_engine, "scan.png", window=(0, 3000)))
