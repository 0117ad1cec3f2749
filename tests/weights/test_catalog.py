import re

import pytest

from samphire.errors import WeightsError
from samphire.images.preprocessing import preprocessing
from samphire.model.variants import SAM_VARIANTS
from samphire.weights.catalog import CATALOG, UrlSource, entry


@pytest.mark.parametrize("name", CATALOG)
def test_every_entry_is_complete(name):
    found = entry(name)
    assert found.name == name
    assert found.variant in SAM_VARIANTS
    assert preprocessing(found.preprocessing).id == found.preprocessing
    digests = [found.encoder_id, found.base_id, *(source.sha256 for source in found.sources)]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests)
    assert len({source.file_name for source in found.sources}) == len(found.sources)


def test_the_official_location_comes_first_and_its_hash_counts_as_the_entry():
    official = entry("vit_t").sources[0]
    assert isinstance(official, UrlSource)
    assert official.url.startswith("https://github.com/ChaoningZhang/MobileSAM/")
    assert entry("vit_t").file_hashes == (official.sha256,)


def test_an_unknown_name_lists_what_is_known():
    with pytest.raises(WeightsError, match=r"'dinosaur': known models: vit_t") as caught:
        entry("dinosaur")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("name", ["vit-t", "VIT_T", "vitt", "vit_b"])
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(name):
    with pytest.raises(WeightsError, match=r"did you mean vit_t\?"):
        entry(name)


@pytest.mark.parametrize("name", ["./vit_t", "weights/sam.pth", "~/sam", "SAM.PT", r"C:\sam"])
def test_a_path_without_a_file_is_told_apart_from_a_name(name):
    with pytest.raises(WeightsError, match="was a path meant"):
        entry(name)
