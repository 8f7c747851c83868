from itertools import pairwise

import pytest
import torch

from equipoise.denoisers import GaussianDenoiser, IdealDenoiser
from equipoise.errors import BadInputError
from equipoise.sampling import build_sigmas, sample_heun

EIGENVALUES = torch.tensor([4.0, 1.0, 0.25, 0.01], dtype=torch.float64)


@pytest.fixture(scope="module")
def vectors():
    square = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.linalg.qr(square).Q


@pytest.fixture(scope="module")
def gaussian(vectors):
    mean = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    return GaussianDenoiser(mean, vectors * EIGENVALUES @ vectors.T)


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_noise_levels_are_those_of_the_paper():
    """Karras et al. 2022, Eq. 5 with the values of Table 1: 18 steps from 80 to .002, rho 7."""
    found = build_sigmas(18, sigma_min=0.002, sigma_max=80.0, rho=7.0)
    assert len(found) == 19
    expected = [
        (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)
    ]
    assert found == pytest.approx([*expected, 0.0], rel=1e-12)
    # as printed by the published code
    printed = [80.0, 57.586, 40.786, 28.375, 19.352, 12.910]
    assert found[:6] == pytest.approx(printed, abs=1e-3)


def test_with_rho_one_the_levels_are_evenly_spaced():
    sigmas = build_sigmas(3, sigma_min=1.0, sigma_max=5.0, rho=1.0)
    assert sigmas == pytest.approx([5, 3, 1, 0])


@pytest.mark.parametrize(
    "levels",
    [(1, 0.1, 1.0), (5, 0.0, 1.0), (5, -0.1, 1.0), (5, 1.0, 1.0), (5, 2.0, 1.0)],
    ids=["one step", "ends at zero", "negative", "equal ends", "ends reversed"],
)
def test_levels_out_of_order_are_refused(levels):
    steps, sigma_min, sigma_max = levels
    with pytest.raises(BadInputError, match="0 < sigma_min < sigma_max"):
        build_sigmas(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=7.0)


def solve_exactly(gaussian, vectors, start, sigma_start, sigma):
    scale = ((EIGENVALUES + sigma**2) / (EIGENVALUES + sigma_start**2)).sqrt()
    return gaussian.mean + ((start - gaussian.mean) @ vectors * scale) @ vectors.T


def test_every_state_follows_the_closed_form_of_the_ode(gaussian, vectors):
    sigmas = build_sigmas(200, sigma_min=0.01, sigma_max=10.0, rho=7.0)
    z = noise(6, 4)
    for state in sample_heun(gaussian, z, sigmas):
        exact = solve_exactly(gaussian, vectors, 10 * z, 10.0, state.sigma)
        torch.testing.assert_close(state.x, exact, rtol=2e-3, atol=2e-3)


def test_the_error_decreases_at_second_order(gaussian, vectors):
    z, errors = noise(6, 4), []
    for steps in (33, 65, 129, 257):
        sigmas = build_sigmas(steps, sigma_min=0.05, sigma_max=10.0, rho=7.0)
        *_, before_last, _ = sample_heun(gaussian, z, sigmas)
        assert before_last.sigma == pytest.approx(0.05)
        exact = solve_exactly(gaussian, vectors, 10 * z, 10.0, 0.05)
        errors.append(float((before_last.x - exact).norm()))
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(3.4 < ratio < 4.6 for ratio in ratios), ratios


def test_sampling_the_ideal_denoiser_ends_at_training_points():
    points = noise(8, 1, 3, 3, seed=2)
    sigmas = build_sigmas(20, sigma_min=0.002, sigma_max=20.0, rho=7.0)
    *_, last = sample_heun(IdealDenoiser(points), noise(40, 1, 3, 3), sigmas)
    distance = (last.x[:, None] - points).flatten(2).norm(dim=2)
    assert distance.amin(1).max() < 1e-9
    assert len(set(distance.argmin(1).tolist())) >= 4  # not all in one


def test_the_states_say_where_the_sampler_is_and_what_it_cost(gaussian):
    calls = []

    class Counting(GaussianDenoiser):
        def denoise(self, x, sigma, cond=None):
            assert not torch.is_grad_enabled()
            calls.append(sigma.tolist())
            return super().denoise(x, sigma, cond)

    sigmas = build_sigmas(4, sigma_min=0.1, sigma_max=2.0, rho=7.0)
    counting = Counting(gaussian.mean, gaussian.covariance)
    states = list(sample_heun(counting, noise(2, 4), sigmas))
    assert [state.step for state in states] == [1, 2, 3, 4]
    assert [state.sigma for state in states] == pytest.approx(sigmas[1:])
    assert [state.evaluations for state in states] == [2, 2, 2, 1]
    assert sum(state.evaluations for state in states) == len(calls)
    assert all(len(set(sigma)) == 1 and len(sigma) == 2 for sigma in calls)
    assert torch.equal(states[-1].x, states[-1].x0_hat)  # the last step goes onto the estimate


def test_between_steps_the_caller_keeps_gradients(gaussian):
    sigmas = build_sigmas(3, sigma_min=0.1, sigma_max=2.0, rho=7.0)
    for state in sample_heun(gaussian, noise(1, 4), sigmas):
        assert torch.is_grad_enabled()
        assert not state.x.requires_grad


def test_a_given_condition_takes_the_place_of_the_empty_one(gaussian):
    seen = []

    class Conditional(GaussianDenoiser):
        def null_condition(self, batch):
            return torch.zeros(batch)

        def denoise(self, x, sigma, cond=None):
            seen.append(cond)
            return super().denoise(x, sigma)

    conditional = Conditional(gaussian.mean, gaussian.covariance)
    sigmas = build_sigmas(2, sigma_min=0.1, sigma_max=2.0, rho=7.0)
    list(sample_heun(conditional, noise(3, 4), sigmas))
    assert all(torch.equal(cond, torch.zeros(3)) for cond in seen)
    seen.clear()
    list(sample_heun(conditional, noise(3, 4), sigmas, cond=torch.ones(3)))
    assert seen
    assert all(torch.equal(cond, torch.ones(3)) for cond in seen)


def test_the_noise_given_is_left_as_it_was(gaussian):
    z = noise(2, 4)
    before = z.clone()
    list(sample_heun(gaussian, z, build_sigmas(3, sigma_min=0.1, sigma_max=2.0, rho=7.0)))
    assert torch.equal(z, before)
