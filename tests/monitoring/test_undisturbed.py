import pytest
import torch
from torch import nn

from equipoise.monitoring.undisturbed import undisturbed


def test_modes_and_random_state_come_back_also_after_an_exception():
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Sequential(nn.Dropout()))
    network.train()
    network[2].eval()
    state = torch.get_rng_state()

    def disturb():
        with undisturbed(network):
            assert not network.training
            assert not torch.is_grad_enabled()
            torch.rand(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        disturb()
    assert [module.training for module in network.modules()] == [True, True, True, False, False]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
