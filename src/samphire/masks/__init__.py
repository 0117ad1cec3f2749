"""Masks as values: logits with their frame, run lengths, scores, and N masks on one image."""

from samphire.masks.decoded import Decoded as Decoded
from samphire.masks.masks import Masks as Masks
