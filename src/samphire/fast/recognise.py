"""Which modules a fast path may stand for.

A fast path computes what the published modules compute, no more: a module that somebody put in
another's place, or hooked into, would be left out of it without a word. So everything is looked at
before it is compiled.
"""

from collections.abc import Collection

from torch import nn


def strangers(module: nn.Module, known: Collection[type[nn.Module]]) -> list[str]:
    """What inside a module a fast path does not understand, in words; empty if it may be compiled.

    Args:
        module: to be compiled.
        known: the exact types that the fast path understands; a subclass may compute otherwise.
    """
    found = []
    for name, part in module.named_modules():
        if type(part) not in known:
            found.append(f"{name or 'the module'} is a {type(part).__name__}")
        if part._forward_hooks or part._forward_pre_hooks:
            found.append(f"{name or 'the module'} has a hook")
    return found
