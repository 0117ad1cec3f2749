"""The event file holds what the log holds."""

import struct
import sys

import pytest

from samphire.errors import MissingExtraError
from samphire.tuning.tensorboard import open_writer

ENTRIES = (
    {"step": 1, "epoch": 1, "loss": 0.75, "learning_rate_share": 0.5, "seconds": 0.25},
    {"step": 2, "epoch": 1, "loss": 0.5, "learning_rate_share": 1.0, "seconds": 0.25},
    {"epoch": 1, "step": 2, "score": 0.625, "dice_points": 0.5, "dice_box": 0.75},
)


def events(folder):
    """(tag, step, value) of every scalar: records of length, checksum, message, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.iterdir()
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        at += 16 + length
    return found


def test_scalars_read_back_are_those_of_the_log(tmp_path):
    writer = open_writer(tmp_path / "events")
    for entry in ENTRIES:
        writer.add(entry)
    writer.close()
    expected = [
        (f"{'train' if 'loss' in entry else 'validation'}/{name}", entry["step"], value)
        for entry in ENTRIES
        for name, value in entry.items()
        if name != "step"
    ]
    assert events(tmp_path / "events") == expected
    assert ("train/loss", 2, 0.5) in expected
    assert ("validation/score", 2, 0.625) in expected


def test_without_tensorboardx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r"samphire\[tune\]"):
        open_writer(tmp_path / "events")
    assert not (tmp_path / "events").exists()
