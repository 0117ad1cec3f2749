"""A plan of anyone's goes into a copy of the model, and what cannot work is refused."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from samphire.adapters import Adaptation, Plan, merged_tensors
from samphire.adapters.adaptation import make_method
from samphire.adapters.lora import Lora
from samphire.adapters.sites import encoder_blocks
from samphire.errors import AdapterError
from samphire.model.sam import Sam


def test_frozen_weights_are_the_memory_of_the_base(sam):
    adapted = Adaptation(Lora(), decoder=False).apply(sam)
    base = {value.data_ptr() for value in sam.parameters()}
    new = [
        name for name, value in adapted.module.named_parameters() if value.data_ptr() not in base
    ]
    assert sorted(new) == sorted(adapted.parameters())


def test_even_train_mode_moves_no_statistic_of_the_base(sam, pixels):
    before = {name: value.clone() for name, value in sam.named_buffers()}
    adapted = Adaptation(Lora()).apply(sam)
    adapted.module.train()
    adapted.module.encode(pixels)
    assert all(torch.equal(value, before[name]) for name, value in sam.named_buffers())


@dataclass(frozen=True)
class Given:
    """A method that is in no table, with a plan from outside."""

    found: Plan

    def plan(self, _: Sam) -> Plan:
        return self.found


class Around(nn.Module):
    """Around a module; merged it is whatever it was given."""

    def __init__(self, merged=None):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))
        self.merged = lambda: merged

    def forward(self, x):
        return self.base(x) + self.shift


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan(own={"image_encoder.nothing": 1.0}), "no such part"),
        (Plan({"image_encoder.nothing": Around()}), "no such part"),
        (Plan({"image_encoder": Around(), "image_encoder.neck": Around()}), "neck lies in"),
        (Plan({"image_encoder.neck": Around()}, {"image_encoder.neck.0.weight": 1.0}), "and carry"),
    ],
)
def test_a_plan_that_fits_no_model_is_refused(plan, says, sam):
    with pytest.raises(AdapterError, match=says):
        Adaptation(Given(plan)).apply(sam)


def test_a_plan_is_used_once(sam):
    adaptation = Adaptation(Given(Plan({"image_encoder.neck": Around()})))
    adaptation.apply(sam)
    with pytest.raises(AdapterError, match="new plan"):
        adaptation.apply(sam)


def test_a_module_without_parameters_can_carry_an_adapter(sam, pixels):
    path = f"{encoder_blocks(sam)[-1]}.attn.probabilities"
    adapted = Adaptation(Given(Plan({path: Around()}))).apply(sam)
    assert f"{path}.shift" in adapted.parameters()
    with torch.no_grad():
        assert torch.equal(adapted.module.encode(pixels), sam.encode(pixels))


def test_a_method_needs_a_name_for_a_file_and_no_name_to_be_applied(sam):
    adaptation = Adaptation(Given(Plan({"image_encoder.neck": Around()})))
    assert "image_encoder.neck.shift" in adaptation.apply(sam).parameters()
    with pytest.raises(AdapterError, match=r"METHODS\[.*\] = Given"):
        adaptation.as_json()
    with pytest.raises(AdapterError, match="METHODS"):
        make_method("given", {})


def test_a_merge_that_would_lose_a_tensor_is_refused(sam):
    """A bias that a plain model has no place for must not vanish."""
    convolution = sam.image_encoder.neck[0]
    assert convolution.bias is None
    channels = (convolution.in_channels, convolution.out_channels)
    adapted = Adaptation(
        Given(Plan({"image_encoder.neck.0": Around(nn.Conv2d(*channels, 1, bias=True))}))
    ).apply(sam)
    with pytest.raises(AdapterError, match=r"neck\.0\.bias"):
        merged_tensors(adapted)
