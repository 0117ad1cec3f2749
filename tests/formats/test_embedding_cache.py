import dataclasses
import errno
import logging
import stat

import numpy as np
import pytest

import samphire
from samphire import atomic
from samphire.cache import DEFAULT_MAX_BYTES
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.formats.embedding import decode, encode
from samphire.formats.embedding_cache import EmbeddingCache, file_name
from samphire.geometry import Size
from samphire.images.preprocessing import sam


@pytest.fixture
def embedding(rng):
    return ImageEmbedding(
        features=rng.standard_normal((1, 8, 4, 4)),
        frame=sam(64).frame(Size(30, 50)),
        key=EmbeddingKey("e" * 64, "sam-64", "p" * 64),
        made_by="tiny (torch plain, cpu, float32)",
        image="holiday.jpg",
    )


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "embeddings")


def other(embedding, **parts):
    return dataclasses.replace(embedding, key=dataclasses.replace(embedding.key, **parts))


def test_an_embedding_is_found_by_its_key_in_another_process_too(cache, embedding):
    assert cache.get(embedding.key) is None
    cache.put(embedding)
    found = EmbeddingCache(cache.files.folder).get(embedding.key)
    assert found.equal(embedding)
    assert found.made_by == embedding.made_by


@pytest.mark.parametrize(
    "parts", [{"encoder_id": "f" * 64}, {"preprocessing": "sam-128"}, {"pixels": "q" * 64}]
)
def test_another_encoder_preprocessing_or_pixel_is_another_key(cache, embedding, parts):
    cache.put(embedding)
    assert cache.get(dataclasses.replace(embedding.key, **parts)) is None
    assert cache.get(embedding.key) is not None


def test_the_name_of_the_picture_is_not_kept(cache, embedding):
    cache.put(embedding)
    (path,) = cache.files.folder.glob("*.safetensors")
    assert b"holiday" not in path.read_bytes()
    assert cache.get(embedding.key).image == "the image"


def test_hits_are_counted_and_misses_are_not(cache, embedding):
    cache.get(embedding.key)
    cache.put(embedding)
    cache.get(embedding.key)
    cache.get(embedding.key)
    assert cache.hits == 2


def test_the_features_are_mapped_and_good_after_the_file_went(embedding, tmp_path):
    room = len(encode(dataclasses.replace(embedding, image="the image")))
    cache = EmbeddingCache(tmp_path, max_bytes=room)
    cache.put(embedding)
    found = cache.get(embedding.key)
    assert not found.features.flags.owndata
    assert not found.features.flags.writeable
    cache.put(other(embedding, pixels="q" * 64))
    assert cache.get(embedding.key) is None
    assert np.array_equal(found.features, embedding.features)


def damages(embedding):
    whole = encode(embedding)
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    return {
        "empty": b"",
        "cut": whole[:-4],
        "cut in the header": whole[:50],
        "one bit": bytes(flipped),
        "longer": whole + b"\0",
        "foreign": b"<html></html>",
        "of another key": encode(other(embedding, pixels="q" * 64)),
        "of a newer version": whole.replace(b'"version":"2"', b'"version":"9"'),
    }


DAMAGES = [
    *("empty", "cut", "cut in the header", "one bit", "longer", "foreign"),
    *("of another key", "of a newer version"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_removed_and_made_again(cache, embedding, damage, caplog):
    cache.put(embedding)
    path = cache.files.folder / file_name(embedding.key)
    assert path.read_bytes() != damages(embedding)[damage]
    path.write_bytes(damages(embedding)[damage])
    with caplog.at_level(logging.WARNING):
        assert cache.get(embedding.key) is None
    assert caplog.records == []  # nothing that a person must do
    assert not path.exists()
    assert cache.hits == 0
    cache.put(embedding)
    assert cache.get(embedding.key).equal(embedding)


def test_a_folder_that_cannot_be_written_is_told_once_and_changes_nothing(
    embedding, tmp_path, caplog
):
    (tmp_path / "file").write_text("x")
    cache = EmbeddingCache(tmp_path / "file")
    for pixels in "abc":
        cache.put(other(embedding, pixels=pixels * 64))
    (record,) = caplog.records
    assert "embeddings cannot be kept in" in record.message
    assert "pictures will be encoded again; free some space, or set SAMPHIRE_CACHE" in (
        record.message
    )
    assert cache.get(embedding.key) is None


def test_a_full_disk_is_told_once_whatever_the_file(cache, embedding, caplog, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    cache.put(embedding)
    monkeypatch.setattr(atomic, "write_bytes", full)
    for pixels in "abc":
        cache.put(other(embedding, pixels=pixels * 64))
    (record,) = caplog.records
    assert "(No space left on device)" in record.message
    assert cache.get(embedding.key).equal(embedding)  # what was there still is


def test_embeddings_larger_than_the_bound_are_told_once(embedding, tmp_path, caplog):
    cache = EmbeddingCache(tmp_path, max_bytes=100)
    cache.put(embedding)
    cache.put(other(embedding, pixels="q" * 64))
    (record,) = caplog.records
    assert "(no room for 1 kB in 100 bytes)" in record.message


def test_a_folder_that_is_only_readable_still_answers(cache, embedding, caplog):
    cache.put(embedding)
    cache.files.folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert cache.get(embedding.key).equal(embedding)
    finally:
        cache.files.folder.chmod(stat.S_IRWXU)
    assert caplog.records == []


def test_the_shared_folder_and_bound_are_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    monkeypatch.delenv("SAMPHIRE_MAX_CACHE", raising=False)
    cache = samphire.EmbeddingCache()
    assert cache.files.folder == tmp_path / "embeddings"
    assert cache.files.max_bytes == DEFAULT_MAX_BYTES
    assert cache.in_words() == f"{tmp_path / 'embeddings'}, 0 bytes of at most 10 GB"
    monkeypatch.setenv("SAMPHIRE_MAX_CACHE", "2MB")
    assert samphire.EmbeddingCache().files.max_bytes == 2_000_000
    assert samphire.EmbeddingCache(max_bytes=3000).files.max_bytes == 3000
    monkeypatch.setenv("SAMPHIRE_MAX_CACHE", "lots")
    with pytest.raises(ValueError, match="'lots' is not a number of bytes"):
        samphire.EmbeddingCache()


def test_a_kept_file_is_an_embedding_file_like_any_other(cache, embedding):
    cache.put(embedding)
    data = (cache.files.folder / file_name(embedding.key)).read_bytes()
    assert decode(data).equal(embedding)
