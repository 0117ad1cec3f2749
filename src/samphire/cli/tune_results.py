"""The result of ``samphire tune`` as a record, and in words."""

import math
from collections.abc import Mapping
from typing import Any

from samphire.evaluation.comparison import compare
from samphire.evaluation.intervals import caution
from samphire.tuning.held_out import Measured


def results(name: str, measured: Measured) -> dict[str, Any]:
    """What was measured on a split, as ``results.json`` holds it."""
    entries = []
    for protocol, (before, after) in measured.items():
        entry: dict[str, Any] = {"protocol": protocol, "cases": len(after.cases)}
        entry["dice_before"] = None if before is None else before.mean_dice
        entry["dice_after"] = after.mean_dice
        if before is not None:
            change = compare(before, after)
            dice = change.difference
            entry |= {"difference": dice.mean, "low": _number(dice.low), "high": _number(dice.high)}
            entry |= {"better": change.better, "worse": change.worse, "groups": dice.groups}
        entries.append(entry)
    return {"split": name, "protocols": entries}


def _number(value: float) -> float | None:
    """JSON has no NaN: of one group there is no interval."""
    return None if math.isnan(value) else value


def in_words(entry: Mapping[str, Any]) -> str:
    """One protocol's result, for a person."""
    after = f"{entry['dice_after']:.3f} in {entry['cases']} cases"
    if entry["dice_before"] is None:
        return f"{entry['protocol']}: mean Dice {after}"
    interval = ""
    if entry["low"] is not None:
        interval = (
            f" (95 % interval {entry['low']:+.3f} to {entry['high']:+.3f}"
            f"{caution(entry['groups'])})"
        )
    return (
        f"{entry['protocol']}: mean Dice {entry['dice_before']:.3f} before, {after}; "
        f"{entry['difference']:+.3f}{interval}, {entry['better']} better, {entry['worse']} worse"
    )


def drops(results: Mapping[str, Any]) -> list[str]:
    """What the model can do less well than before."""
    return [
        f"{in_words(entry)}: the base did better."
        for entry in results["protocols"]
        if entry["dice_before"] is not None and entry["dice_after"] < entry["dice_before"]
    ]


def chosen(name: str) -> str:
    """What a split was to the run, for a reader of its numbers."""
    if name == "test":
        return "samples that decided nothing"
    return "by which the best epoch was chosen: new images will do a little worse"
