import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equipoise.denoisers.level import FlowTimes, NoiseGrid
from equipoise.errors import BadInputError


def build_grid():
    """Stable Diffusion's schedule: scaled-linear betas."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return NoiseGrid.from_alphas((1 - betas).cumprod(0))


def test_stable_diffusions_ends_are_the_published_ones():
    grid = build_grid()
    assert float(grid.sigmas[0]) == pytest.approx(0.0292, abs=1e-4)
    assert float(grid.sigmas[-1]) == pytest.approx(14.6146, abs=1e-3)


@given(st.floats(1e-4, 1e3))
def test_snapping_takes_the_nearest_by_logarithm(sigma):
    grid = build_grid()
    snapped = grid.snap(sigma)
    slow = min(grid.sigmas.tolist(), key=lambda level: abs(torch.tensor(level / sigma).log()))
    assert snapped == pytest.approx(slow)
    assert grid.snap(snapped) == snapped


def test_levels_of_the_grid_have_their_times():
    grid = build_grid()
    times = torch.tensor([0, 17, 999, 500])
    assert torch.equal(grid.find_time(grid.sigmas[times].float()), times)


def test_a_level_between_two_is_refused_and_the_nearest_named():
    grid = build_grid()
    between = (grid.sigmas[3] * grid.sigmas[4]).sqrt()
    with pytest.raises(BadInputError, match=r"1000 noise levels .* model\.snap"):
        grid.find_time(torch.stack([grid.sigmas[0], between]).float())


@pytest.mark.parametrize("alphas", [[0.9, 0.5, 0.0], [0.5, 0.9], [1.0, 0.5]])
def test_schedules_without_a_finite_level_are_refused(alphas):
    with pytest.raises(BadInputError, match="alphas_cumprod"):
        NoiseGrid.from_alphas(torch.tensor(alphas))


@given(st.floats(1e-3, 1e3), st.sampled_from([1.0, 1000.0]))
def test_a_flow_is_told_every_level_and_gives_it_back(sigma, unit):
    times = FlowTimes(unit)
    assert times.snap(sigma) == sigma
    told = times.find_time(torch.tensor([sigma], dtype=torch.float64))
    assert float(told) == pytest.approx(unit * sigma / (1 + sigma))
    assert float(times.find_sigma(told)) == pytest.approx(sigma)


def test_noise_alone_is_read_as_the_last_level():
    assert float(FlowTimes(1.0).find_sigma(torch.ones(1).double())) == pytest.approx(9999)
