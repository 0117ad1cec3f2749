"""What a fast path must not stand for."""

from torch import nn

from samphire.fast.recognise import misfits, oddities, strangers

KNOWN = {nn.Sequential, nn.Linear}


class Louder(nn.Linear):
    """A subclass, which may compute anything."""


def test_published_modules_are_known():
    assert strangers(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), KNOWN) == []


def test_a_subclass_and_a_hook_are_named():
    module = nn.Sequential(nn.Linear(2, 2), Louder(2, 2))
    module[0].register_forward_hook(lambda *_: None)
    assert strangers(module, KNOWN) == ["0 has a hook", "1 is a Louder"]


def test_a_pre_hook_counts_and_the_module_itself_is_looked_at():
    module = Louder(2, 2)
    module.register_forward_pre_hook(lambda *_: None)
    assert strangers(module, KNOWN) == ["the module is a Louder", "the module has a hook"]


PARTS = {"": nn.Sequential, "0": nn.LayerNorm, "1": nn.Linear}


def pair():
    return nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2)).eval()


def test_parts_in_their_places_fit():
    assert misfits(pair(), PARTS) == []


def test_parts_that_are_swapped_missing_or_added_are_named():
    swapped = nn.Sequential(*reversed(pair())).eval()
    assert misfits(swapped, PARTS) == ["0 is a Linear", "1 is a LayerNorm"]
    assert misfits(pair()[:1].eval(), PARTS) == ["1 is missing"]
    assert misfits(pair().append(nn.Identity().eval()), PARTS) == ["2 is a Identity"]


def test_training_double_precision_and_a_norm_without_gain_are_named():
    module = pair()
    module[0] = nn.LayerNorm(2, elementwise_affine=False)
    assert misfits(module.double(), PARTS) == [
        "0 is in training mode",
        "0 has no gain and shift",
        "its weights are not float32 on a CPU",
    ]


def test_a_forward_that_was_replaced_is_named():
    module = pair()
    module.forward = lambda x: x
    assert oddities(module, {nn.Sequential}) == ["has a forward of its own"]
