"""Every conversion of levels, times and predictions, against diffusers' schedulers' numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.denoisers.level import NoiseGrid, flow_of_sigma, sigma_of_flow
from equipoise.denoisers.prediction import PREDICTIONS, estimate_x0, scale_input

pytestmark = pytest.mark.slow  # diffusers takes seconds to import
TIMES = st.integers(0, 999)
SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")


def draw(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 1, 3, 4, 4, generator=generator, dtype=torch.float64)


def column(sigma):
    return sigma.reshape(1, 1, 1, 1)


@settings(max_examples=40, deadline=None)
@given(TIMES, st.sampled_from(SCHEDULES), st.integers(0, 9))
def test_levels_are_those_that_ddpm_adds(time, schedule, seed):
    """z = sqrt(abar) (x0 + sigma eps): the scheduler's own noisy sample gives sigma back."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(beta_schedule=schedule)
    grid = NoiseGrid.from_alphas(scheduler.alphas_cumprod)
    sigma = grid.sigmas[time]
    x0, eps = draw(seed)
    noisy = scheduler.add_noise(x0, eps, torch.tensor([time]))
    torch.testing.assert_close(
        scale_input("v", x0 + sigma * eps, column(sigma)), noisy, rtol=1e-5, atol=1e-5
    )
    assert int(grid.find_time(sigma[None])) == time
    assert grid.snap(float(sigma)) == float(sigma)


@settings(max_examples=40, deadline=None)
@given(TIMES, st.sampled_from(["epsilon", "sample", "v_prediction"]), st.integers(0, 9))
def test_clean_samples_are_those_that_ddim_estimates(time, told, seed):
    from diffusers import DDIMScheduler

    from equipoise.denoisers.dit import TOLD

    scheduler = DDIMScheduler(prediction_type=told, clip_sample=False)
    scheduler.set_timesteps(1000)
    sigma = NoiseGrid.from_alphas(scheduler.alphas_cumprod).sigmas[time]
    x, output = draw(seed)
    expected = scheduler.step(
        output, time, scale_input("v", x, column(sigma))
    ).pred_original_sample
    found = estimate_x0(TOLD[told], output, x, column(sigma))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(1 + sigma))


@settings(max_examples=40, deadline=None)
@given(TIMES, st.integers(0, 9))
def test_velocities_are_those_that_ddpm_gives(time, seed):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(prediction_type="v_prediction")
    sigma = NoiseGrid.from_alphas(scheduler.alphas_cumprod).sigmas[time]
    x0, eps = draw(seed)
    velocity = scheduler.get_velocity(x0, eps, torch.tensor([time]))
    found = estimate_x0("v", velocity, x0 + sigma * eps, column(sigma))
    torch.testing.assert_close(found, x0, rtol=1e-3, atol=1e-4 * float(1 + sigma))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 999), st.integers(0, 9))
def test_a_flows_levels_and_samples_are_those_of_its_scheduler(index, seed):
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    time = scheduler.sigmas[index].double()  # diffusers calls the time of a flow its sigma
    sigma = sigma_of_flow(time[None])[0]
    torch.testing.assert_close(flow_of_sigma(sigma[None])[0], time)
    x0, eps = draw(seed)
    noisy = scheduler.scale_noise(x0, scheduler.timesteps[index][None], eps)
    x = x0 + sigma * eps
    torch.testing.assert_close(scale_input("flow", x, column(sigma)), noisy, rtol=1e-5, atol=1e-5)
    scheduler.set_timesteps(1000)
    scheduler.set_begin_index(index)
    at = scheduler.sigmas[index].double()
    level = sigma_of_flow(at[None])[0]
    moved = scheduler.step(eps - x0, scheduler.timesteps[index], (1 - at) * x0 + at * eps)[0]
    after = scheduler.sigmas[index + 1].double()
    torch.testing.assert_close(moved, (1 - after) * x0 + after * eps, rtol=1e-4, atol=1e-4)
    found = estimate_x0("flow", eps - x0, x0 + level * eps, column(level))
    torch.testing.assert_close(found, x0, rtol=1e-6, atol=1e-6)


@given(st.sampled_from(PREDICTIONS), st.floats(1e-3, 100), st.integers(0, 9))
def test_every_prediction_of_a_clean_sample_gives_it_back(prediction, sigma, seed):
    x0, eps = draw(seed)
    level = torch.tensor(sigma, dtype=torch.float64)
    alpha = (1 + level**2) ** -0.5
    outputs = {
        "x0": x0, "eps": eps, "v": alpha * eps - alpha * level * x0, "flow": eps - x0,
    }  # fmt: skip
    found = estimate_x0(prediction, outputs[prediction], x0 + level * eps, column(level))
    torch.testing.assert_close(found, x0, rtol=1e-7, atol=1e-7)
