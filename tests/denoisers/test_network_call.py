import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from equipoise.denoisers import wrap
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.level import NoiseGrid
from equipoise.denoisers.network_call import find_sigma, read_call
from equipoise.denoisers.preconditioned import PreconditionedDenoiser
from equipoise.denoisers.preconditioning import (
    EdmPreconditioning,
    IddpmPreconditioning,
    VePreconditioning,
    VpPreconditioning,
)
from equipoise.denoisers.timed import TimedDenoiser

COLUMNS = {
    "EDM": EdmPreconditioning(),
    "VE": VePreconditioning(),
    "VP": VpPreconditioning(),
    "iDDPM": IddpmPreconditioning(torch.tensor([80.0, 20.0, 5.0, 1.0, 0.2, 0.0])),
}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, picture, moment, told=None):
        return picture


def build_timed():
    alphas = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    return TimedDenoiser(
        network=Network(),
        call=lambda network, z, time, cond: network(z, told=cond, moment=time),
        prediction="eps",
        grid=NoiseGrid.from_alphas(alphas),
        codec=PixelCodec(),
        empty=torch.tensor([7]),
        sample_shape=(1, 2, 2),
        image_shape=(1, 2, 2),
        data_std=0.5,
        default_sites=(),
    )


def build(name):
    if name == "timed":
        return build_timed()
    if name == "wrapped":
        return wrap(Network(), sample_shape=(1, 2, 2), data_std=0.5)
    return PreconditionedDenoiser(Network(), COLUMNS[name], (1, 2, 2), 0, ())


def catch(denoiser, x, sigma, cond=None):
    seen = []
    handle = denoiser.network.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(read_call(denoiser, args, kwargs)), with_kwargs=True
    )
    denoiser.denoise(x, sigma, cond)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("name", ["timed", "wrapped", *COLUMNS])
@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.05, 60.0), min_size=1, max_size=3))
def test_the_level_of_a_call_is_the_one_that_was_asked_for(name, wanted):
    denoiser = build(name)
    sigma = torch.tensor([denoiser.snap(level) for level in wanted])
    call = catch(denoiser, torch.ones(len(sigma), 1, 2, 2), sigma)
    torch.testing.assert_close(call.sigma, sigma.double(), rtol=1e-4, atol=0)


def test_an_edm_denoisers_own_network_is_read(tiny_edm):
    call = catch(tiny_edm, torch.ones(2, 1, 16, 16), torch.tensor([0.1, 3.0]))
    torch.testing.assert_close(call.sigma, torch.tensor([0.1, 3.0]).double(), rtol=1e-5, atol=0)
    assert call.condition is None


def test_the_condition_is_the_third_argument_by_any_name():
    denoiser = build_timed()
    sigma = torch.tensor([denoiser.snap(1.0)] * 2)
    assert catch(denoiser, torch.ones(2, 1, 2, 2), sigma).condition.tolist() == [7, 7]
    told = torch.tensor([1, 2])
    assert catch(denoiser, torch.ones(2, 1, 2, 2), sigma, told).condition.tolist() == [1, 2]


def test_a_time_between_two_of_the_schedule_has_a_level_between():
    denoiser = build_timed()
    below, between, above = find_sigma(denoiser, torch.tensor([10, 10.5, 11]).double())
    assert float(between) == pytest.approx(float(below * above) ** 0.5)
    ends = find_sigma(denoiser, torch.tensor([-1.0, 2000.0]).double())
    torch.testing.assert_close(ends, denoiser.grid.sigmas[[0, -1]])


def test_another_kind_of_call_is_not_read():
    denoiser = build("wrapped")
    assert read_call(denoiser, (torch.ones(1, 2),), {}) is None
    assert read_call(denoiser, ("text", torch.ones(1)), {}) is None
