import pytest
import torch

from equipoise.sampling import Solver, sample_heun, sample_multistep
from equipoise.sampling.state import SamplerState


@pytest.mark.parametrize("solver", [sample_heun, sample_multistep])
def test_what_follows_the_ode_is_a_solver(solver):
    assert isinstance(solver, Solver)


def test_a_state_is_frozen():
    x = torch.zeros(1, 2)
    state = SamplerState(1, 0.5, x, x, 1)
    with pytest.raises(AttributeError):
        state.step = 2
