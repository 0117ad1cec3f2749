"""Before and after: the same pictures and prompts for both, and what is drawn is what was asked."""

import hashlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from random_adapters import adapter_of
from tuning.discs import discs, read
from tuning.test_loop import interactive, semantic

from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder
from samphire.samples import Sample, Volume
from samphire.tuning.held_out import _masks, draw_cases, measure

TEST = discs(3, first=200)


def bytes_of(samples):
    """A digest of all that reading gives."""
    digest = hashlib.sha256()
    for sample in samples:
        labelled = sample.read()
        digest.update(labelled.image.tobytes())
        digest.update(labelled.objects.to_array().tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_the_base_is_measured_on_the_same_cases_and_an_untrained_adapter_equals_it(tiny_engine):
    settings = interactive(Lora())
    adapter = replace(
        adapter_of(tiny_engine, Lora()),
        tensors=settings.adaptation.apply(tiny_engine.module).tensors(),
    )
    measured = measure(tiny_engine, adapter, TEST, settings)
    assert set(measured) == {"points", "box"}
    for before, after in measured.values():
        assert [(case.id, case.target) for case in before.cases] == [
            (case.id, case.target) for case in after.cases
        ]
        assert [case.agreement for case in before.cases] == [case.agreement for case in after.cases]


@pytest.mark.slow
def test_who_learned_classes_is_told_what_clicks_can_still_do(tiny_engine):
    adapter = adapter_of(tiny_engine, Decoder(), ("disc",))
    measured = measure(tiny_engine, adapter, TEST, semantic(Decoder()))
    assert set(measured) == {"semantic", "points"}
    assert measured["semantic"][0] is None
    before, after = measured["points"]
    assert len(before.cases) == len(after.cases) == 3


@pytest.mark.slow
def test_measuring_and_drawing_change_neither_pictures_nor_labels(tiny_engine):
    labelled = [sample.read() for sample in TEST]
    kept = tuple(
        replace(sample, read=partial(lambda value: value, each))
        for sample, each in zip(TEST, labelled, strict=True)
    )
    before = bytes_of(kept)
    adapter = adapter_of(tiny_engine, Decoder())
    settings = interactive()
    first = measure(tiny_engine, adapter, kept, settings)
    pictures = draw_cases(tiny_engine, adapter, kept, first)
    assert pictures
    assert bytes_of(kept) == before
    again = measure(tiny_engine, adapter, kept, settings)
    for protocol, (_, after) in first.items():
        assert [case.agreement for case in after.cases] == [
            case.agreement for case in again[protocol][1].cases
        ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["disc", ""])
def test_of_a_volume_the_slice_is_drawn_that_shows_most(name, tiny_engine):
    areas = []

    def slice_of(index):
        labelled = read(300 + index, 1)
        objects = replace(labelled.objects, name=(name,))
        areas.append(int(objects.area[0]))
        shown = replace(labelled, objects=objects)
        place = Volume("volume", index, (2.0, 1.0, 1.0))
        return Sample(f"v#{index}", "v", (), partial(lambda value: value, shown), volume=place)

    slices = tuple(slice_of(index) for index in range(3))
    adapter = adapter_of(tiny_engine, Decoder())
    measured = measure(tiny_engine, adapter, slices, interactive())
    (case,) = measured["box"][1].cases
    largest = slices[int(np.argmax(areas))].read()
    true, _ = _masks(tiny_engine, largest, "box", case)
    assert np.array_equal(true, largest.objects.to_array()[0])
    assert len(draw_cases(tiny_engine, adapter, slices, measured)) == 2
