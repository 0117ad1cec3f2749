"""``samphire predict`` on volumes: labels that lie where the scan lies."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from random_adapters import adapter_of
from volume_sets import HIGH, write_volumes

import samphire
from samphire.adapters.partial import Decoder
from samphire.cli.__main__ import cli
from samphire.engines.load import adapt

pytestmark = pytest.mark.slow

nibabel = pytest.importorskip("nibabel")

WINDOW = (0, HIGH)


@pytest.fixture
def scans(tmp_path):
    return write_volumes(tmp_path / "volumes") / "images"


@pytest.fixture
def adapter(tiny_engine, tmp_path):
    made = adapter_of(tiny_engine, Decoder(), ("organ", "tumour"))
    path = tmp_path / "organs.safetensors"
    replace(made, window=f"{WINDOW[0]},{WINDOW[1]}").save(path)
    return path


@pytest.fixture
def invoke(adapter, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*arguments):
        line = ["predict", *arguments, "--model", tiny_weights, "--adapter", adapter]
        return CliRunner().invoke(cli, list(map(str, line)), standalone_mode=False)

    return run


def test_each_slice_is_labelled_as_python_does_and_lies_where_it_lay(
    invoke, scans, adapter, tiny_engine
):
    done = invoke(scans / "a.nii.gz", "--json")
    assert done.return_value == 0, done.exception
    scan, found = nibabel.load(scans / "a.nii.gz"), nibabel.load("a.labels.nii.gz")
    assert np.array_equal(found.affine, scan.affine)
    assert found.header.get_zooms() == scan.header.get_zooms()
    assert found.get_data_dtype() == np.uint8
    labels = np.asarray(found.dataobj)
    engine, voxels = adapt(tiny_engine, adapter), np.asarray(scan.dataobj)
    for index in range(voxels.shape[2]):
        upright = np.flip(voxels[:, :, index].T, (0, 1))  # the file is in RAS
        masks = samphire.classify(engine, samphire.embed(engine, upright, window=WINDOW))
        expected = (masks.to_array() * masks.label[:, None, None]).sum(axis=0)
        assert np.array_equal(np.flip(labels[:, :, index].T, (0, 1)), expected)
    record = json.loads(done.stdout)
    assert (record["slices"], record["plane"], record["window"]) == (6, "axial", f"0,{HIGH}")
    organ, tumour = record["classes"]
    assert (organ["name"], organ["voxels"]) == ("organ", (labels == 1).sum())
    assert tumour["millilitres"] == pytest.approx((labels == 2).sum() * 3 / 1000)


def test_a_folder_goes_on_where_it_stopped_and_reports_what_cannot_be_read(invoke, scans):
    (scans / "b.nii.gz").write_bytes((scans / "b.nii.gz").read_bytes()[:-200])
    first = invoke(scans, "--output", "labels")
    assert first.return_value == 1
    assert "3 labelled, 0 done before, 1 failed; labels are in labels" in first.stderr
    assert "b.nii.gz cannot be read as NIfTI" in first.stderr
    assert "6 axial slices, organ: " in first.stderr
    again = invoke(scans, "--output", "labels")
    assert "0 labelled, 3 done before, 1 failed" in again.stderr


def test_a_file_that_is_there_stays(invoke, scans):
    assert invoke(scans / "a.nii.gz", "--output", "mine.nii.gz").return_value == 0
    refused = invoke(scans / "b.nii.gz", "--output", "mine.nii.gz")
    assert "mine.nii.gz is there already" in str(refused.exception)
    assert invoke(scans / "b.nii.gz", "--output", "mine.nii.gz", "--force").return_value == 0


@pytest.mark.parametrize("more", [["--format", "json"], ["--overlay"], ["--jobs", "2"]])
def test_what_is_for_pictures_is_wrong_usage(invoke, scans, more):
    refused = invoke(scans / "a.nii.gz", *more)
    assert refused.exception.exit_code == 2
    assert "volumes become volumes of labels" in refused.exception.message


def test_volumes_and_pictures_are_not_mixed(invoke, scans, tmp_path):
    (tmp_path / "a.png").touch()
    refused = invoke(scans / "a.nii.gz", tmp_path / "a.png", "--output", "labels")
    assert refused.exception.exit_code == 2
    assert "give each a command" in refused.exception.message
