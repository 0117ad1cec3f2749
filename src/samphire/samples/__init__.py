"""Labelled pictures: found, read, checked and split; what tuning and evaluation work on."""

from samphire.samples.sample import DataSet, Labelled, Sample, Split, Volume

__all__ = ["DataSet", "Labelled", "Sample", "Split", "Volume"]
