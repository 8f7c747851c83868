import pytest
import torch

from equipoise.theory import build_relu_dae, empirical_loss, memorizing_weights
from equipoise.theory.figures.network import DECAY, compare_loss, count_units

X = torch.eye(4, 6) - 0.25 * torch.eye(4, 6).sum(0)


def test_the_closed_form_has_a_ratio_of_one():
    W = memorizing_weights(X.double(), sigma=0.05, weight_decay=DECAY["memorizing"], num_units=4).W
    assert compare_loss(build_relu_dae(W.float()), X, sigma=0.05) == pytest.approx(1, abs=1e-5)


def test_other_weights_have_the_ratio_of_their_losses():
    level = {"sigma": 0.01, "weight_decay": DECAY["memorizing"]}
    W = memorizing_weights(X.double(), num_units=4, **level).W
    losses = [
        float(empirical_loss(build_relu_dae(factor * W), X.double(), **level).detach())
        for factor in (1.1, 1)
    ]
    found = compare_loss(build_relu_dae(1.1 * W.float()), X, sigma=0.01)
    assert found == pytest.approx(losses[0] / losses[1], rel=1e-4)


def test_units_are_counted_by_their_energy():
    dae = build_relu_dae(torch.eye(6)).requires_grad_(False)
    assert count_units(dae, torch.eye(6)) == pytest.approx(1)
    assert count_units(dae, torch.ones(3, 6)) == pytest.approx(6)


@pytest.mark.slow
def test_a_network_is_trained_once(nets):
    assert nets.get("memorizing", 0.2) is nets.get("memorizing", 0.2)
    assert nets.get("memorizing", 0.2) is not nets.get("memorizing", 0.2, offset=1)
