from itertools import pairwise

import pytest
import torch

from equipoise.denoisers import GaussianDenoiser
from equipoise.sampling import SamplerSpec, build_sigmas, sample_multistep

COVARIANCE = torch.diag(torch.tensor([4.0, 1.0, 0.25, 0.04], dtype=torch.float64))
MEAN = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)


@pytest.fixture
def gaussian():
    return GaussianDenoiser(MEAN, COVARIANCE)


@pytest.fixture
def noise():
    return torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_error_against_the_closed_form_falls_at_second_order(gaussian, noise):
    errors = []
    for steps in (65, 129, 257, 513):
        sigmas = build_sigmas(steps, sigma_min=0.05, sigma_max=10.0, rho=7.0)
        *_, before_last, _ = sample_multistep(gaussian, noise, sigmas)
        eigenvalues = COVARIANCE.diagonal()
        scale = ((eigenvalues + 0.05**2) / (eigenvalues + 10.0**2)).sqrt()
        exact = MEAN + (10 * noise - MEAN) * scale
        errors.append(float((before_last.x - exact).norm()))
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(3.4 < ratio < 4.6 for ratio in ratios), ratios


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_it_is_the_solver_of_diffusers(gaussian, noise):
    scheduling = pytest.importorskip("diffusers.schedulers.scheduling_dpmsolver_multistep")
    scheduler = scheduling.DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++", solver_order=2, use_flow_sigmas=False,
        use_karras_sigmas=True, prediction_type="epsilon", final_sigmas_type="zero",
    )  # fmt: skip
    scheduler.set_timesteps(9)
    sigmas = scheduler.sigmas.double().tolist()
    # diffusers keeps x / sqrt(1 + sigma^2), asks for eps, and gives back x0 at the end.
    x = noise * sigmas[0] / (1 + sigmas[0] ** 2) ** 0.5
    for sigma, time in zip(sigmas, scheduler.timesteps, strict=False):
        plain = x * (1 + sigma**2) ** 0.5
        x0_hat = gaussian.denoise(plain, plain.new_full((6,), sigma))
        x = scheduler.step((plain - x0_hat) / sigma, time, x).prev_sample
    *_, last = sample_multistep(gaussian, noise, sigmas)
    torch.testing.assert_close(last.x, x.double(), rtol=1e-4, atol=1e-4)


def test_the_states_say_where_the_sampler_is_and_what_it_cost(gaussian, noise):
    sigmas = build_sigmas(4, sigma_min=0.1, sigma_max=2.0, rho=7.0)
    states = list(sample_multistep(gaussian, noise, sigmas))
    assert [state.step for state in states] == [1, 2, 3, 4]
    assert [state.sigma for state in states] == pytest.approx(sigmas[1:])
    assert [state.evaluations for state in states] == [1] * 4
    assert torch.equal(states[-1].x, states[-1].x0_hat)


def test_a_spec_names_it():
    spec = SamplerSpec(method="multistep", steps=5, sigma_min=0.1, sigma_max=9.0, guidance=2.0)
    assert spec.solver is sample_multistep
    assert spec.evaluations == 10
