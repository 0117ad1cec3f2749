import re

import pytest

from samphire.errors import WeightsError
from samphire.images.preprocessing import preprocessing
from samphire.model.variants import SAM_VARIANTS
from samphire.weights.catalog import CATALOG, OTHER_MEDSAM_FILES, entry, entry_of_file
from samphire.weights.sources import UrlSource


@pytest.mark.parametrize("name", CATALOG)
def test_every_entry_is_complete(name):
    found = entry(name)
    assert found.name == name
    assert found.variant in SAM_VARIANTS
    assert preprocessing(found.preprocessing).id == found.preprocessing
    digests = [*(found.identity or ()), *(source.sha256 for source in found.sources)]
    assert digests
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found.file_hashes)
    assert len({source.file_name for source in found.sources}) == len(found.sources)


def test_the_official_location_comes_first_and_its_hash_counts_as_the_entry():
    official = entry("vit_t").sources[0]
    assert isinstance(official, UrlSource)
    assert official.url.startswith("https://github.com/ChaoningZhang/MobileSAM/")
    assert entry("vit_t").file_hashes == (official.sha256,)


def test_an_unknown_name_lists_what_is_known():
    with pytest.raises(
        WeightsError,
        match=r"'dinosaur': known models: lite_medsam, medsam, vit_b, vit_h, vit_l, vit_t",
    ) as caught:
        entry("dinosaur")
    assert "did you mean" not in str(caught.value)


def test_a_hash_names_one_model_at_most():
    hashes = [digest for name in CATALOG for digest in entry(name).file_hashes]
    assert len(set(hashes)) == len(hashes)
    assert not OTHER_MEDSAM_FILES & set(hashes)
    assert {entry_of_file(digest).name for digest in hashes} == set(CATALOG)
    assert entry_of_file("0" * 64) is None


@pytest.mark.parametrize(
    ("name", "what"),
    [("sam_hq_vit_b", "SAM-HQ"), ("edge_sam_3x", "EdgeSAM"), ("repvit_sam", "RepViT-SAM"),
     ("facebook/sam2-hiera-tiny", "SAM 2")],
)  # fmt: skip
def test_a_relative_asked_for_by_name_is_known_and_refused(name, what):
    with pytest.raises(WeightsError, match=f"would be {what} .* Samphire does not load"):
        entry(name)


@pytest.mark.parametrize("name", ["vit-t", "VIT_T", "vitt"])
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(name):
    with pytest.raises(WeightsError, match=r"did you mean vit_t\?"):
        entry(name)


@pytest.mark.parametrize("name", ["./vit_t", "weights/sam.pth", "~/sam", "SAM.PT", r"C:\sam"])
def test_a_path_without_a_file_is_told_apart_from_a_name(name):
    with pytest.raises(WeightsError, match="was a path meant"):
        entry(name)
