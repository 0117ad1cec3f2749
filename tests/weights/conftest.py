"""A server of one file that behaves as real ones do, and an entry of the catalogue that uses it."""

import hashlib
import io
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from conftest import random_weights
from small_vit import small_vit

from samphire.model import variants
from samphire.weights import recognise
from samphire.weights.catalog import Entry
from samphire.weights.sources import Source, UrlSource

HTML = b"<!DOCTYPE html><html><title>Sign in</title></html>"


@dataclass
class FileServer:
    """Serves ``content`` at ``url``; what it was asked is kept.

    ``mode``: good, no ranges, cut once, cut always, slow, html, disguised html, wrong bytes,
    wrong ranges, longer, endless, 404, 500, 416.
    """

    content: bytes
    mode: str = "good"
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)

    def source(self, *, size: int | None = None, sha256: str = "") -> UrlSource:
        return UrlSource(
            url=self.url,
            file_name="tiny.pt",
            size=len(self.content) if size is None else size,
            sha256=sha256 or hashlib.sha256(self.content).hexdigest(),
        )


class _Handler(BaseHTTPRequestHandler):
    files: FileServer

    def do_HEAD(self):
        if self.files.mode == "404":
            self.send_error(404)
            return
        self.send_response(200)
        if self.files.mode != "endless":
            self.send_header("Content-Length", str(len(self.files.content)))
        self.end_headers()

    def do_GET(self):
        files = self.files
        asked = self.headers.get("Range")
        files.ranges.append(asked)
        if files.mode in {"404", "500"}:
            self.send_error(int(files.mode))
        elif files.mode == "416" and asked:
            self.send_error(416)
        elif files.mode == "html":
            self._send(200, HTML, kind="text/html; charset=utf-8")
        elif files.mode == "disguised html":
            self._send(200, HTML.ljust(len(files.content)))
        elif files.mode == "wrong bytes":
            self._send(200, bytes(len(files.content)))
        elif files.mode == "longer":
            self._send(200, files.content + b"more")
        elif files.mode == "endless":
            self._send(200, files.content * 50, length=False)
        elif asked and files.mode != "no ranges":
            self._send_range(int(asked.removeprefix("bytes=").removesuffix("-")))
        else:
            self._send(200, files.content)

    def _send_range(self, start: int):
        size = len(self.files.content)
        if self.files.mode == "wrong ranges":
            start = 0
        self._send(206, self.files.content[start:], span=f"bytes {start}-{size - 1}/{size}")

    def _send(self, status, body, *, kind="application/octet-stream", span="", length=True):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length:
            self.send_header("Content-Length", str(len(body)))
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        mode, first = self.files.mode, len(self.files.ranges) == 1
        if mode == "cut always" or (mode in {"cut once", "wrong ranges", "416"} and first):
            body = body[: len(body) // 2]
        if mode == "slow":
            time.sleep(0.5)
        with suppress(ConnectionError):  # the other side may have read enough
            self.wfile.write(body)

    def log_message(self, format, *args):  # noqa: A002 - the name that the base class gives it
        pass


@pytest.fixture(scope="session")
def checkpoint() -> bytes:
    """A small state dict as torch saves it, larger than what one read takes."""
    generator = torch.Generator().manual_seed(0)
    file = io.BytesIO()
    tensors = {
        "image_encoder.weight": torch.randn(500, 1000, generator=generator),
        "mask_decoder.bias": torch.randn(7, generator=generator),
        "mask_decoder.steps": torch.tensor(3),
    }
    torch.save(tensors, file)
    return file.getvalue()


@pytest.fixture
def files(checkpoint: bytes) -> Iterator[FileServer]:
    served = FileServer(checkpoint)
    handler = type("Handler", (_Handler,), {"files": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    served.url = f"http://127.0.0.1:{server.server_port}/tiny.pt"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Samphire's."""
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """An entry with these sources."""

    def make(*sources: Source) -> Entry:
        return Entry(
            name="tiny",
            variant="tiny",
            preprocessing="sam-64",
            description="for tests",
            parameters=500_007,
            licence="none",
            sources=sources,
            encoder_id="e" * 64,
            base_id="b" * 64,
            file_hashes=(),
        )

    return make


@pytest.fixture
def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a shell script named ``npm`` first on PATH; gives the file it writes its arguments to."""

    def install(script: str) -> Path:
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        program, said = folder / "npm", folder / "arguments"
        program.write_text(f'#!/bin/sh\necho "$@" >> {said}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return said

    return install


@pytest.fixture
def no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program at all is found."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def largest_file() -> Callable[[int], AbstractContextManager[None]]:
    """No file of this process may grow beyond so many bytes: the system's own full disk."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """A small ViT's random state dict; in this test ``vit_b`` and ``medsam`` are of its size."""
    monkeypatch.setitem(recognise._VITS, (32, 4), "vit_b")
    for name in ("vit_b", "medsam"):
        monkeypatch.setitem(variants.VIT_VARIANTS, name, small_vit)
    sam = small_vit()
    random_weights(sam)
    return sam.state_dict()
