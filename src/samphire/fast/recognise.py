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
    return [
        f"{name or 'the module'} {oddity}"
        for name, part in module.named_modules()
        for oddity in oddities(part, known)
    ]


def oddities(part: nn.Module, known: Collection[type[nn.Module]]) -> list[str]:
    """What a fast path does not understand in one module, whatever lies inside it."""
    found = []
    if type(part) not in known:
        found.append(f"is a {type(part).__name__}")
    if part._forward_hooks or part._forward_pre_hooks:
        found.append("has a hook")
    if "forward" in vars(part):
        found.append("has a forward of its own")
    return found
