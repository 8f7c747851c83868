import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equipoise.denoisers.preconditioning import (
    EdmPreconditioning,
    IddpmPreconditioning,
    VePreconditioning,
    VpPreconditioning,
)

from .edm_cases import build_levels

LEVELS = st.floats(0.01, 80.0)


@given(LEVELS)
def test_edm_keeps_the_variance_of_input_and_target_at_one(sigma):
    """Karras et al. (2022), App. B.6: Var(c_in x) = 1, and Var(target) = 1."""
    c = EdmPreconditioning(0.5).coefficients(torch.tensor([sigma], dtype=torch.float64))
    assert float(c.c_in**2 * (sigma**2 + 0.25)) == pytest.approx(1)
    target = ((1 - c.c_skip) ** 2 * 0.25 + c.c_skip**2 * sigma**2) / c.c_out**2
    assert float(target) == pytest.approx(1)


@given(st.floats(1e-4, 1.0))
def test_the_time_of_vp_inverts_its_schedule(time):
    """sigma(t) = sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1)."""
    t = torch.tensor([time], dtype=torch.float64)
    sigma = ((0.5 * 19.9 * t**2 + 0.1 * t).exp() - 1).sqrt()
    assert float(VpPreconditioning().find_time(sigma)) == pytest.approx(time, rel=1e-6)


@given(LEVELS)
def test_ve_labels_by_the_logarithm(sigma):
    c = VePreconditioning().coefficients(torch.tensor([sigma]))
    assert float(c.c_noise.exp()) == pytest.approx(sigma / 2, rel=1e-5)


@given(st.integers(0, 99), st.floats(-0.3, 0.3))
def test_iddpm_takes_the_nearest_level_and_counts_it_from_the_end(index, shift):
    column = IddpmPreconditioning(build_levels(100))
    levels = column.levels
    near = levels[index] + shift * (levels[index] - levels[index + 1])
    assert float(column.coefficients(near[None]).c_noise) == 99 - index
    assert column.snap(float(near)) == float(levels[index])
