"""Which modules a fast path may stand for.

A fast path computes what the published modules compute, no more: a module that somebody put in
another's place, or hooked into, would be left out of it without a word. So everything is looked at
before it is compiled.
"""

from collections.abc import Collection, Mapping

import torch
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


def misfits(module: nn.Module, parts: Mapping[str, type[nn.Module]]) -> list[str]:
    """What keeps a module from being compiled, in words; empty if it may be.

    Stricter than :func:`strangers`: each part must be in its place, and compute as it does in eval
    mode, in float32, on a CPU.

    Args:
        module: to be compiled.
        parts: the exact type of everything in it by name, the module's own name being empty.
    """
    named = dict(module.named_modules())
    found = [f"{name} is missing" for name in parts if name not in named]
    for name, part in named.items():
        words = name or "the module"
        if name not in parts:
            found.append(f"{words} is a {type(part).__name__}")
            continue
        found += [f"{words} {oddity}" for oddity in oddities(part, {parts[name]})]
        if part.training:
            found.append(f"{words} is in training mode")
        if isinstance(part, nn.GELU) and part.approximate != "none":
            found.append(f"{words} is an approximate GELU")
        if isinstance(part, nn.LayerNorm | nn.BatchNorm2d) and len([*part.parameters()]) < 2:
            found.append(f"{words} has no gain and shift")
    values = [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]
    if any(value.dtype != torch.float32 or value.device.type != "cpu" for value in values):
        found.append("its weights are not float32 on a CPU")
    return found
