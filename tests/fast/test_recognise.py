"""What a fast path must not stand for."""

from torch import nn

from samphire.fast.recognise import strangers

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
