"""A model with an adapter, beside the model without: nothing of the base is ever written to.

    plan (a method's wish) -> adapt() -> Adapted: a model of its own that shares the frozen weights

The copy is of the tree of modules, not of the weights, so any number of adapters stand on one
encoder at the cost of their own parameters, in several threads if wanted; to detach an adapter is
to go on with the base. The model knows nothing of all this: modules are put in the place of its
own from outside, and hold what was there as ``base``.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from samphire.adapters.semantic import SemanticHead
from samphire.errors import AdapterError
from samphire.model.sam import Sam

BASE, HEAD, DECODER = "base", "semantic_head", "mask_decoder"


@dataclass(frozen=True, eq=False)
class Plan:
    """What a method changes in a model.

    Attributes:
        modules: path -> what takes the place of the module there, which it holds as ``base``;
            made for one model, so a plan is used once.
        own: names of the model's own parameters that train, and the share of the learning rate
            that each gets.
    """

    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Adapted:
    """A model with an adapter.

    Attributes:
        base: the model as it was; untouched.
        module: with the adapter, in eval mode (batch norms never move); frozen weights are the
            memory of ``base``, buffers are copies, so that even train mode leaves ``base`` alone.
        head: of semantic tasks; None where there are no classes.
        learning_rates: name of each parameter that trains -> share of the learning rate.
    """

    base: Sam
    module: Sam
    head: SemanticHead | None
    learning_rates: Mapping[str, float]

    def parameters(self) -> dict[str, nn.Parameter]:
        """What trains, by name: of the adapter, of the decoder, of the head."""
        every = dict(self.module.named_parameters())
        if self.head is not None:
            every |= {f"{HEAD}.{name}": value for name, value in self.head.named_parameters()}
        return {name: every[name] for name in self.learning_rates}

    def tensors(self) -> dict[str, torch.Tensor]:
        """What an adapter's file holds: the values of :meth:`parameters`, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.parameters().items()}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Fill the parameters that train.

        Raises:
            AdapterError: a name is missing or unexpected, or a shape differs.
        """
        parameters = self.parameters()
        problems = [f"missing {name}" for name in parameters.keys() - tensors.keys()]
        problems += [f"unexpected {name}" for name in tensors.keys() - parameters.keys()]
        problems += [
            f"{name} has shape {tuple(tensors[name].shape)}, expected {tuple(value.shape)}"
            for name, value in parameters.items()
            if name in tensors and tensors[name].shape != value.shape
        ]
        if problems:
            raise AdapterError(
                f"the tensors are not those of this adapter, {len(problems)} differ:\n  "
                + "\n  ".join(sorted(problems))
            )
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(tensors[name])


def adapt(base: Sam, plan: Plan, *, decoder: bool, classes: int) -> Adapted:
    """Put a plan's modules into a copy of the model.

    Args:
        base: the model; only read. Hooks on it are kept by the copy: take them off before.
        plan: made for this model, by a method.
        decoder: the mask decoder trains, too.
        classes: of a semantic task, without the background; 0 for none.

    Raises:
        AdapterError: nothing would train, or the plan does not fit: see :func:`_check`.
    """
    own = dict(plan.own)
    if decoder:
        names = (name for name, _ in base.named_parameters())
        own |= {name: 1.0 for name in names if name.startswith(f"{DECODER}.")}
    _check(plan, own, base)
    module = sharing(base).eval()
    for name, value in list(module.named_parameters()):
        if name in own:
            replace_part(module, name, nn.Parameter(value.detach().clone()))
    rates = dict(own)
    for path, wrapper in plan.modules.items():
        rates |= {f"{path}.{name}": 1.0 for name, _ in wrapper.named_parameters()}
        wrapped = module.get_submodule(path)
        wrapper.to(next(wrapped.parameters(), next(base.parameters())))  # device and precision
        wrapper.base = wrapped
        replace_part(module, path, wrapper)
    head = None
    if classes:
        head = SemanticHead(base.mask_decoder, classes)
        rates |= {f"{HEAD}.{name}": 1.0 for name, _ in head.named_parameters()}
    if not rates:
        raise AdapterError("nothing would train: let the decoder train, or name classes")
    return Adapted(base=base, module=module, head=head, learning_rates=rates)


def _check(plan: Plan, own: Mapping[str, float], base: Sam) -> None:
    """Refuse what a method may get wrong, before anything is made.

    Raises:
        AdapterError: a name is none of the model's; a module is to be replaced and to train, or
            lies in another that is to be replaced, or was put in a model before.
    """
    modules = {path for path, _ in base.named_modules()}
    parameters = {name for name, _ in base.named_parameters()}
    unknown = sorted((plan.modules.keys() - modules) | (own.keys() - parameters))
    if unknown:
        raise AdapterError(f"{unknown[0]}: the model has no such part; take names from the model")
    for path, wrapper in plan.modules.items():
        if hasattr(wrapper, BASE):
            raise AdapterError(f"the module for {path} is in a model: make a new plan for each")
        if inside := [name for name in plan.modules if name.startswith(f"{path}.")]:
            raise AdapterError(f"{inside[0]} lies in {path}: expected one adapter for both")
        if inside := [name for name in own if name.startswith(f"{path}.")]:
            raise AdapterError(
                f"{inside[0]} would train and carry an adapter: leave the decoder frozen, or the "
                "adapter out of it"
            )


def sharing(base: Sam) -> Sam:
    """The same tree of modules over the memory of the weights, which do not train in it."""
    shared: dict[int, object] = {
        id(value): nn.Parameter(value.detach(), requires_grad=False) for value in base.parameters()
    }
    return copy.deepcopy(base, shared)


def replace_part(module: nn.Module, path: str, value: nn.Module | nn.Parameter) -> None:
    """Put a module or parameter in the place of another."""
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, value)
