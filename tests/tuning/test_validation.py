"""What decides which adapter is kept: all of the validation set, and nothing else."""

import inspect
from dataclasses import replace

import pytest
from labelled_sets import given
from tuning.discs import discs
from tuning.test_loop import TRAIN, interactive, semantic

from samphire.errors import DataError, ImageError
from samphire.evaluation.protocols import evaluate
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.loop import ADAPTER, fit
from samphire.tuning.validation import adapter_file, protocols, validate

VAL = discs(3, first=100)


def validated(engine, settings, samples):
    adapted = settings.adaptation.apply(engine.module)
    frozen = FrozenEncoder(adapted, engine.info, None)
    return validate(engine, adapted, frozen, samples, settings), adapted


@pytest.mark.slow
@pytest.mark.parametrize("settings", [semantic(task="both"), interactive()], ids=["both", "ask"])
def test_a_score_is_what_evaluate_measures_with_the_adapter_on(settings, tiny_engine):
    found, adapted = validated(tiny_engine, settings, VAL)
    worn = tiny_engine.wearing(adapter_file(tiny_engine, adapted, settings, None))
    expected = {name: evaluate(worn, VAL, name).mean_dice for name in found.parts}
    assert tuple(found.parts) == protocols(tiny_engine, settings)
    assert found.parts == expected
    assert found.score == pytest.approx(sum(expected.values()) / len(expected))


@pytest.mark.slow
def test_the_order_of_the_pictures_does_not_matter(tiny_engine):
    settings = interactive()
    forwards, backwards = (validated(tiny_engine, settings, each)[0] for each in (VAL, VAL[::-1]))
    assert forwards.score == pytest.approx(backwards.score, abs=1e-12)


@pytest.mark.slow
def test_a_picture_that_cannot_be_read_is_not_left_out_of_the_score(tiny_engine, tmp_path):
    broken = replace(VAL[1], read=lambda: given(ImageError("cut short")))
    with pytest.raises(DataError, match="disc-101: cut short"):
        fit(tiny_engine, TRAIN, (VAL[0], broken), semantic(epochs=1), tmp_path)
    assert not (tmp_path / ADAPTER).exists()


def test_the_loop_has_no_way_in_for_test_data():
    sets = {name for name, each in inspect.signature(fit).parameters.items()
            if "Sample" in str(each.annotation)}  # fmt: skip
    assert sets == {"train", "val"}
