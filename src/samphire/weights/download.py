"""A file from an address to the disk: resumed where it was cut off, and checked before use.

Not for packages (``package.py``). Nothing is parsed here, and a file that is not the expected one
is not kept.
"""

import logging
import re
from pathlib import Path
from typing import Never

import requests
from tqdm import tqdm

from samphire.errors import FetchError
from samphire.weights.checksums import check_file, disguise
from samphire.weights.sources import UrlSource

logger = logging.getLogger(__name__)

_CONNECT_SECONDS, _READ_SECONDS = 3, 30
_CHUNK = 1 << 16  # bytes: what a broken connection may lose
_MOST_ATTEMPTS = 5
_PLAIN = {"Accept-Encoding": "identity"}  # sizes and ranges are those of the file itself
_CONNECTION = re.compile(r"^HTTPS?Connection(Pool)?\([^)]*\): ")  # how urllib3's messages begin


def part_path(source: UrlSource, folder: Path) -> Path:
    """Where an unfinished download waits; the hash in its name keeps it from another file's."""
    return folder / f"{source.file_name}.{source.sha256[:12]}.part"


def download(source: UrlSource, folder: Path, *, progress: bool) -> Path:
    """The verified file, in ``folder`` under its own name.

    A connection that is cut off is taken up again where it ended: in this call as long as each
    attempt brings something, and else in the next call.

    Args:
        source: address, size and hash.
        folder: an existing folder.
        progress: show a bar on stderr, if that is a terminal.

    Raises:
        FetchError: the address gives no file, or another one; the reason in one line.
        OSError: the disk is full, or the folder cannot be written.
    """
    part = part_path(source, folder)
    size = _size_there(source) if source.size is None else source.size
    bar: tqdm[Never] = tqdm(
        total=size,
        unit="B",
        unit_scale=True,
        desc=source.file_name,
        disable=None if progress else True,  # None: silent where stderr is no terminal
    )
    with bar:
        _complete(source.url, size, part, bar)
    try:
        check_file(part, size=size, sha256=source.sha256)
    except FetchError:
        part.unlink()
        raise
    finished = folder / source.file_name
    part.replace(finished)
    logger.info("downloaded %s, %d bytes, from %s", source.file_name, size, source.url)
    return finished


def _size_there(source: UrlSource) -> int:
    """How many bytes the file has, by its server's word; its hash is checked at the end.

    Raises:
        FetchError: the server does not say.
    """
    try:
        answer = requests.head(
            source.url,
            headers=_PLAIN,
            allow_redirects=True,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        )
    except requests.RequestException as error:
        raise FetchError(_reason(error)) from error
    length = answer.headers.get("Content-Length", "")
    if answer.status_code != requests.codes.ok or not length.isdigit():
        raise FetchError(f"HTTP {answer.status_code} {answer.reason}, and no size of the file")
    return int(length)


def _complete(url: str, size: int, part: Path, bar: "tqdm[Never]") -> None:
    """Ask until ``part`` has its full size.

    Raises:
        FetchError: the source refuses, has another file, or an attempt brought nothing new.
        OSError: the disk cannot take it.
    """
    for _ in range(_MOST_ATTEMPTS):
        have = _size(part)
        if have >= size:
            return
        try:
            with _ask(url, have) as response:
                start = _start(response, size, have)
                if start is None:
                    part.unlink(missing_ok=True)
                    continue
                _write(response, part, start=start, most=size, bar=bar)
                reason = "the connection ended"
        except requests.RequestException as error:
            reason = _reason(error)
        if _size(part) <= have:
            raise FetchError(f"{reason} ({have:,} of {size:,} bytes are here)")
    if _size(part) < size:
        raise FetchError(
            f"cut off {_MOST_ATTEMPTS} times: {_size(part):,} of {size:,} bytes are kept, "
            "and the next call goes on from there"
        )


def _ask(url: str, have: int) -> requests.Response:
    headers = _PLAIN | ({"Range": f"bytes={have}-"} if have else {})
    return requests.get(
        url, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)
    )


def _start(response: requests.Response, size: int, have: int) -> int | None:
    """Where the bytes of this answer belong in the file; None to ask again from the beginning.

    Raises:
        FetchError: the answer is not the file.
    """
    if have and response.status_code == requests.codes.requested_range_not_satisfiable:
        return None
    if response.status_code not in {requests.codes.ok, requests.codes.partial_content}:
        raise FetchError(f"HTTP {response.status_code} {response.reason}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise FetchError("it sent an HTML page (a login or error page), not the file of weights")
    if response.status_code == requests.codes.partial_content:
        unit_and_range, _, total = response.headers.get("Content-Range", "").partition("/")
        resumes = unit_and_range.startswith(f"bytes {have}-")
        if resumes and total in {str(size), "*"}:
            return have
        if have:
            return None
        raise FetchError("it sent a part of the file that was not asked for")
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) != size:
        raise FetchError(
            f"the file there has {int(length):,} bytes: expected {size:,}; it has changed"
        )
    return 0


def _write(
    response: requests.Response, part: Path, *, start: int, most: int, bar: "tqdm[Never]"
) -> None:
    """Copy the answer to the file from ``start`` on; stop where it is longer than it may be.

    Raises:
        FetchError: it is something else.
        OSError: of requests, when the connection breaks; of the disk, when it is full.
    """
    chunks = response.iter_content(_CHUNK)
    first = next(chunks, b"")
    instead = disguise(first) if start == 0 else None
    if instead:
        raise FetchError(f"it sent {instead}, not the file of weights")
    bar.update(start - bar.n)
    with part.open("ab" if start else "wb") as file:
        file.write(first)
        bar.update(len(first))
        for chunk in chunks:
            file.write(chunk)
            bar.update(len(chunk))
            if file.tell() > most:
                return  # the check of the whole file says by how much


def _reason(error: requests.RequestException) -> str:
    """What went wrong, in words, without the library's wrapping."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {_CONNECT_SECONDS} s"
    if isinstance(error, requests.ReadTimeout):
        return f"no data for {_READ_SECONDS} s"
    cause: object = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    return "no connection: " + _CONNECTION.sub("", str(cause))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
