"""Labelled pictures: found, read, checked and split; what tuning and evaluation work on."""

from samphire.samples.find import open_data
from samphire.samples.sample import DataSet, Labelled, Sample, Split, Volume
from samphire.samples.semantic import contested, semantic_map

__all__ = [
    "DataSet",
    "Labelled",
    "Sample",
    "Split",
    "Volume",
    "contested",
    "open_data",
    "semantic_map",
]
