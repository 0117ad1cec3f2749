import base64
import hashlib

import pytest

from samphire.errors import FetchError
from samphire.weights.checksums import check_file, check_integrity, disguise

CONTENT = b"PK\x03\x04 and so on"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(CONTENT)
    return path


def test_the_right_file_passes(file):
    check_file(file, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    digest = base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()
    check_integrity(file, f"sha512-{digest}")


def test_size_and_hash_are_both_compared_and_named(file):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(FetchError, match=r"it has 14 bytes: expected 1,000"):
        check_file(file, size=1000, sha256=sha256)
    with pytest.raises(FetchError, match=f"its SHA-256 is {sha256}: expected 0000"):
        check_file(file, size=len(CONTENT), sha256="0" * 64)
    with pytest.raises(FetchError, match=r"its integrity is sha512-.*: expected sha512-AAAA"):
        check_integrity(file, "sha512-AAAA")


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"<!doctype HTML>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n <html lang=en>", "an HTML page"),
        (b"<?xml version='1.0'?><Error>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b'{"message": "Not Found"}', "a text message"),
        (b"Not Found", "a text message"),
    ],
)
def test_what_was_sent_instead_is_named(start, what, tmp_path):
    assert disguise(start).startswith(what)
    path = tmp_path / "weights.pt"
    path.write_bytes(start)
    with pytest.raises(FetchError, match=f"it is {what}"):
        check_file(path, size=len(start), sha256=hashlib.sha256(start).hexdigest())


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02", b"\x1f\x8b\x08", b""])
def test_data_is_not_taken_for_a_message(start):
    assert disguise(start) is None
