"""Is this the file that it should be? Asked before anything in it is parsed."""

import base64
import hashlib
from pathlib import Path

from samphire.errors import FetchError

_START = 64  # bytes that tell what a file is


def check_file(path: Path, *, size: int | None, sha256: str) -> None:
    """Refuse a file of another size or content.

    Args:
        path: the file; it is read once, in pieces.
        size: expected bytes; None where they are not known.
        sha256: expected SHA-256, 64 hexadecimal digits.

    Raises:
        FetchError: it differs; the message says what it is instead, where that can be seen.
        OSError: it cannot be read.
    """
    found_size = path.stat().st_size
    with path.open("rb") as file:
        instead = disguise(file.read(_START))
    if instead:
        raise FetchError(f"it is {instead}, not the file of weights")
    if size is not None and found_size != size:
        raise FetchError(f"it has {found_size:,} bytes: expected {size:,}")
    found = file_digest(path, "sha256").hex()
    if found != sha256:
        raise FetchError(f"its SHA-256 is {found}: expected {sha256}")


def check_integrity(path: Path, integrity: str) -> None:
    """Refuse a file whose SHA-512 is not the one that npm states (``sha512-`` and base64).

    Raises:
        FetchError: it differs.
    """
    found = "sha512-" + base64.b64encode(file_digest(path, "sha512")).decode()
    if found != integrity:
        raise FetchError(f"its integrity is {found}: expected {integrity}")


def file_digest(path: Path, algorithm: str) -> bytes:
    """The digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).digest()


def disguise(start: bytes) -> str | None:
    """What is sent instead of a file of weights, known from its first bytes; None if it may be one.

    >>> disguise(b"<!DOCTYPE html><title>Sign in</title>")
    'an HTML page (a login or error page)'
    >>> disguise(b"PK") is None
    True
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page (a login or error page)"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (the repository without its large files)"
    if text.startswith((b"{", b"not found")):
        return "a text message (an error)"
    return None
