"""Masks as values: run lengths, scores, and N masks on one image."""

from samphire.masks.masks import Masks as Masks
