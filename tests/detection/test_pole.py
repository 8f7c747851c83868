"""The pole's closed form against a sum over samples of its own mixture."""

import torch

from equipoise.detection.pole import NUM_MEMORIZED, Components, PoleDenoiser, build_pole


def test_the_denoiser_is_the_posterior_mean_of_its_mixture():
    """Importance-weighted mean of 400,000 draws from the prior, in two dimensions."""
    means = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-0.5, 1.0]])
    variances, weights = torch.tensor([1e-4, 0.3, 0.2]), torch.tensor([0.2, 0.5, 0.3])
    denoiser = PoleDenoiser(Components(means, variances, weights), 1, (2,), 0.7)
    generator = torch.Generator().manual_seed(0)
    own = torch.multinomial(weights, 400_000, replacement=True, generator=generator)
    eps = torch.randn(400_000, 2, generator=generator)
    x0 = means[own] + variances[own, None].sqrt() * eps
    x, sigma = torch.tensor([[0.4, 0.6]]), 0.5
    likelihood = torch.exp(-(x - x0).square().sum(1) / (2 * sigma**2))
    for cond, rows in ((2, own >= 0), (0, own == 0), (1, own > 0)):
        expected = (likelihood[rows, None] * x0[rows]).sum(0) / likelihood[rows].sum()
        found = denoiser.denoise(x, torch.tensor([sigma]), torch.tensor([cond]))[0]
        torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def test_what_it_memorized_is_a_fixed_point_and_what_is_new_is_not():
    pole = build_pole()
    level = torch.full((len(pole.ids),), 0.1)
    moved = (pole.denoiser.denoise(pole.images, level) - pole.images).flatten(1).norm(dim=1)
    assert int(pole.memorized.sum()) == NUM_MEMORIZED
    assert moved[pole.memorized].max() < 1e-3 < moved[~pole.memorized].min()
