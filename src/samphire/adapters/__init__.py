"""Adapters: what changes in a model when it is tuned, put in from outside.

    Adaptation (method, decoder, classes) + Sam -> Adapted; adapter tensors <-> Adapted

To add a method: one file with a frozen dataclass of settings that has ``plan(sam) -> Plan``, and
its line in ``METHODS``; docs/how-to/add-a-method.md does it.
"""

from samphire.adapters.adaptation import METHODS, Adaptation, Method
from samphire.adapters.inject import Adapted, Plan
from samphire.adapters.merge import folded, merged_tensors

__all__ = ["METHODS", "Adaptation", "Adapted", "Method", "Plan", "folded", "merged_tensors"]
