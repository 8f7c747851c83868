import pytest
import torch
from torch import nn

from equipoise.denoisers.filling import fill
from equipoise.errors import BadInputError, NonFiniteError


def build():
    with torch.device("meta"):
        return nn.Linear(3, 2)


def test_a_network_without_memory_is_filled_and_frozen():
    weights = {"weight": torch.randn(2, 3).half(), "bias": torch.zeros(2)}
    network = build()
    fill(network, weights)
    assert torch.equal(network.weight, weights["weight"].float())
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"weight": torch.zeros(2, 3)}, r"1 names and shapes differ, .bias. \(2,\)"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "x": torch.zeros(1)}, "x"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, "weight"),
    ],
)
def test_all_weights_and_no_others_must_be_there(weights, told):
    with pytest.raises(BadInputError, match=told):
        fill(build(), weights)


def test_weights_must_be_finite():
    weights = {"weight": torch.full((2, 3), float("inf")), "bias": torch.zeros(2)}
    with pytest.raises(NonFiniteError, match="weight"):
        fill(build(), weights)
