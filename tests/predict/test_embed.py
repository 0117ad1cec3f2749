"""Embedding pictures: once each, in order, from the cache where it has them."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import samphire
from samphire.errors import ImageError


class Counting:
    """An engine that notes what the encoder was given."""

    def __init__(self, engine) -> None:
        self.engine, self.info = engine, engine.info
        self.batches: list[int] = []

    def encode(self, pixels):
        self.batches.append(len(pixels))
        return self.engine.encode(pixels)

    def session(self, embedding):
        return self.engine.session(embedding)


@pytest.fixture
def engine(tiny_engine):
    return Counting(tiny_engine)


@pytest.fixture
def cache(tmp_path):
    return samphire.EmbeddingCache(tmp_path / "cache")


@pytest.fixture
def pictures(rng):
    return [rng.integers(0, 256, (20 + index, 30, 3), np.uint8) for index in range(6)]


def test_a_picture_is_encoded_once_ever(engine, cache, pictures):
    first = samphire.embed(engine, pictures[0], cache=cache)
    again = samphire.embed(engine, pictures[0], cache=samphire.EmbeddingCache(cache.files.folder))
    assert engine.batches == [1]
    assert again.equal(first)
    assert again.made_by == first.made_by
    plain = samphire.embed(engine, pictures[0])
    assert engine.batches == [1, 1]
    assert plain.equal(first)


def test_a_changed_pixel_is_encoded_again(engine, cache, pictures):
    samphire.embed(engine, pictures[0], cache=cache)
    changed = pictures[0].copy()
    changed[-1, -1, 2] ^= 1
    made = samphire.embed(engine, changed, cache=cache)
    assert engine.batches == [1, 1]
    assert made.equal(samphire.embed(engine, changed))


def test_the_same_bytes_in_another_shape_are_another_picture(engine, cache, pictures):
    samphire.embed(engine, pictures[0], cache=cache)
    turned = pictures[0].reshape(30, 20, 3)
    assert samphire.embed(engine, turned, cache=cache).frame.original.height == 30
    assert engine.batches == [1, 1]


def test_the_name_and_the_container_do_not_matter(engine, cache, pictures, tmp_path):
    for name in ("a.png", "b.bmp"):
        Image.fromarray(pictures[0]).save(tmp_path / name)
    first = samphire.embed(engine, tmp_path / "a.png", cache=cache)
    second = samphire.embed(engine, tmp_path / "b.bmp", cache=cache)
    third = samphire.embed(engine, pictures[0], cache=cache)
    assert engine.batches == [1]
    assert [e.image for e in (first, second, third)] == ["a.png", "b.bmp", "the image"]


@pytest.mark.parametrize("part", ["encoder_id", "preprocessing"])
def test_another_encoder_or_preprocessing_is_encoded_again(engine, cache, pictures, part):
    samphire.embed(engine, pictures[0], cache=cache)
    if part == "encoder_id":
        engine.info = dataclasses.replace(engine.info, encoder_id="f" * 64)
        samphire.embed(engine, pictures[0], cache=cache)
        assert engine.batches == [1, 1]
    else:
        engine.info = dataclasses.replace(engine.info, preprocessing="sam-128")
        key = dataclasses.replace(
            samphire.embed(engine.engine, pictures[0]).key, preprocessing="sam-128"
        )
        assert cache.get(key) is None


def test_a_cache_that_cannot_be_written_does_not_change_the_answer(engine, pictures, tmp_path):
    (tmp_path / "file").write_text("x")
    broken = samphire.EmbeddingCache(tmp_path / "file")
    made = samphire.embed(engine, pictures[0], cache=broken)
    assert made.equal(samphire.embed(engine, pictures[0]))


def test_many_are_what_each_is_alone_and_in_order(engine, pictures):
    made = list(samphire.embed_many(engine, pictures, batch_size=4))
    assert engine.batches == [4, 2]
    for embedding, picture in zip(made, pictures, strict=True):
        alone = samphire.embed(engine, picture)
        assert embedding.key == alone.key
        assert embedding.frame == alone.frame
        np.testing.assert_allclose(embedding.features, alone.features, atol=1e-5)


def test_many_one_by_one_are_bit_for_bit_what_each_is_alone(engine, pictures):
    for embedding, picture in zip(samphire.embed_many(engine, pictures), pictures, strict=True):
        assert embedding.equal(samphire.embed(engine, picture))


def test_pictures_are_read_when_their_turn_comes(engine, pictures):
    read = []

    def lazily():
        for index, picture in enumerate(pictures):
            read.append(index)
            yield picture

    made = samphire.embed_many(engine, lazily())
    assert read == []
    next(made)
    assert read == [0]
    next(made)
    assert read == [0, 1]


def test_what_the_cache_has_does_not_count_for_the_batch(engine, cache, pictures):
    for index in (0, 2):
        samphire.embed(engine, pictures[index], cache=cache)
    engine.batches.clear()
    made = list(samphire.embed_many(engine, pictures, batch_size=2, cache=cache))
    assert engine.batches == [2, 2]
    assert [e.frame.original.height for e in made] == [20, 21, 22, 23, 24, 25]
    engine.batches.clear()
    again = list(samphire.embed_many(engine, pictures, batch_size=2, cache=cache))
    assert engine.batches == []
    assert all(mine.equal(theirs) for mine, theirs in zip(again, made, strict=True))


def test_what_the_cache_has_is_given_at_once(engine, cache, pictures):
    samphire.embed(engine, pictures[0], cache=cache)
    read = []

    def known():
        for index in range(5):
            read.append(index)
            yield pictures[0]

    next(samphire.embed_many(engine, known(), batch_size=4, cache=cache))
    assert read == [0]


def test_a_batch_that_fills_slowly_holds_few_back(engine, cache, pictures):
    samphire.embed(engine, pictures[0], cache=cache)
    engine.batches.clear()
    read = []

    def mostly_known():
        for index in range(40):
            read.append(index)
            yield pictures[1] if index == 0 else pictures[0]

    made = samphire.embed_many(engine, mostly_known(), batch_size=2, cache=cache)
    next(made)
    assert len(read) == 8
    assert engine.batches == [1]


def test_equal_pictures_in_a_batch_are_encoded_once(engine, pictures):
    twins = [pictures[0], pictures[1], pictures[0]]
    made = list(samphire.embed_many(engine, twins, batch_size=3))
    assert engine.batches == [2]
    assert made[0].equal(made[2])
    assert not made[0].equal(made[1])


def test_pixels_of_pictures_that_the_cache_had_are_let_go(engine, cache, pictures, monkeypatch):
    import weakref

    from samphire.predict import embed as module

    samphire.embed(engine, pictures[0], cache=cache)
    read, alive = module.read_image, []

    def noted(image, *arguments, **options):
        pixels = read(image, *arguments, **options).copy()
        alive.append(weakref.ref(pixels))
        return pixels

    monkeypatch.setattr(module, "read_image", noted)
    many = [pictures[1], *[pictures[0]] * 6]
    made = samphire.embed_many(engine, many, batch_size=2, cache=cache)
    next(made)  # while the generator, and all that it holds, lives on
    assert len(alive) > 4
    assert [reference() is None for reference in alive[1:-1]] == [True] * (len(alive) - 2)


def test_a_bad_picture_is_named_by_its_place_after_those_before_it(engine, pictures):
    made = samphire.embed_many(engine, [pictures[0], b"no picture", pictures[1]], batch_size=4)
    assert next(made).frame.original.height == 20
    with pytest.raises(ImageError, match=r"image 1, counted from 0: the image is not an image"):
        next(made)


def test_a_batch_of_nothing_is_refused_at_once(engine, pictures):
    with pytest.raises(ValueError, match="batch_size=0: expected at least 1"):
        samphire.embed_many(engine, pictures, batch_size=0)


def test_a_page_and_a_window_reach_the_reader(engine, tmp_path, rng):
    pages = [Image.fromarray(rng.integers(0, 4000, (20, 30)).astype(np.uint16)) for _ in range(2)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    options = {"page": 1, "window": (100.0, 2000.0)}
    made = samphire.embed(engine, tmp_path / "scan.tif", **options)
    (many,) = samphire.embed_many(engine, [tmp_path / "scan.tif"], **options)
    from samphire.images.read import read_image

    by_hand = samphire.embed(engine, read_image(np.asarray(pages[1]), window=(100.0, 2000.0)))
    assert made.equal(by_hand)
    assert many.equal(by_hand)
    assert samphire.embed(engine, tmp_path / "scan.tif").key != made.key


def test_what_was_not_computed_in_float32_is_not_kept(engine, cache, pictures):
    engine.info = dataclasses.replace(engine.info, dtype="bfloat16")
    samphire.embed(engine, pictures[0], cache=cache)
    list(samphire.embed_many(engine, [pictures[0]], cache=cache))
    assert engine.batches == [1, 1]
    exact = dataclasses.replace(engine.info, dtype="float32")
    engine.info = exact
    samphire.embed(engine, pictures[0], cache=cache)
    assert engine.batches == [1, 1, 1]
