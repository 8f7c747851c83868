import math

import pytest
import torch

from equipoise.denoisers import GaussianDenoiser, IdealDenoiser


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def gaussian():
    factor = draw(6, 6, seed=1)
    return GaussianDenoiser(draw(1, 2, 3, seed=2), factor @ factor.T)


def test_the_ideal_denoiser_is_the_softmax_weighted_mean_of_its_points():
    points, x = draw(9, 1, 2, 3), draw(4, 1, 2, 3, seed=1)
    sigma = torch.tensor([0.3, 0.8, 2.0, 9.0], dtype=torch.float64)
    found = IdealDenoiser(points).denoise(x, sigma)
    for row in range(4):
        weights = [
            math.exp(-sum(((x[row] - p) ** 2).flatten().tolist()) / (2 * float(sigma[row]) ** 2))
            for p in points
        ]
        mean = sum(w * p for w, p in zip(weights, points, strict=True)) / sum(weights)
        torch.testing.assert_close(found[row], mean, rtol=1e-10, atol=1e-12)


def test_the_ideal_denoiser_gives_the_nearest_point_at_small_and_the_mean_at_large_sigma():
    points = draw(9, 5).float()
    x = points[[4, 7]] + 0.05
    ideal = IdealDenoiser(points)
    assert torch.equal(ideal.denoise(x, torch.full((2,), 1e-3)), points[[4, 7]])
    far = ideal.denoise(x, torch.full((2,), 1e4))
    torch.testing.assert_close(far, points.mean(0).expand(2, 5), atol=1e-4, rtol=0)


def test_the_gaussian_denoiser_solves_the_posterior_equations(gaussian):
    x = draw(5, 1, 2, 3, seed=3)
    sigma = torch.tensor([1e-3, 0.1, 0.7, 2.0, 50.0], dtype=torch.float64)
    found = gaussian.denoise(x, sigma)
    for row in range(5):
        C = gaussian.covariance
        centred = (x[row] - gaussian.mean).flatten()
        solved = C @ torch.linalg.solve(C + sigma[row] ** 2 * torch.eye(6).double(), centred)
        expected = gaussian.mean + solved.reshape(1, 2, 3)
        torch.testing.assert_close(found[row], expected, rtol=1e-9, atol=1e-9)


def test_the_gaussian_denoiser_agrees_with_the_ideal_one_on_many_of_its_samples():
    """Two formulas for one posterior mean: an integral and its Monte Carlo estimate."""
    gaussian = GaussianDenoiser(
        torch.tensor([1.0, -2.0]).double(), torch.tensor([[2.0, 0.6], [0.6, 0.5]]).double()
    )
    root = torch.linalg.cholesky(gaussian.covariance)
    points = gaussian.mean + draw(200_000, 2) @ root.T
    x, sigma = torch.tensor([[0.0, -1.0]]).double(), torch.tensor([1.0]).double()
    torch.testing.assert_close(
        IdealDenoiser(points).denoise(x, sigma), gaussian.denoise(x, sigma), atol=0.01, rtol=0
    )


def test_both_poles_say_their_shape_and_scale(gaussian):
    points = draw(50, 1, 2, 3)
    ideal = IdealDenoiser(points)
    assert ideal.sample_shape == gaussian.sample_shape == (1, 2, 3)
    assert ideal.data_std == pytest.approx(points.numpy().std())
    assert gaussian.data_std == pytest.approx(math.sqrt(gaussian.covariance.trace() / 6))
    images = torch.rand(2, 1, 2, 3)
    for denoiser in (ideal, gaussian):
        assert denoiser.default_sites == ()
        assert torch.equal(denoiser.decode(denoiser.encode(images)), images)


def test_the_answer_has_the_type_of_the_question(gaussian):
    x, sigma = torch.zeros(2, 1, 2, 3), torch.ones(2)
    assert gaussian.denoise(x, sigma).dtype == torch.float32
    assert IdealDenoiser(draw(4, 1, 2, 3)).denoise(x, sigma).dtype == torch.float32
