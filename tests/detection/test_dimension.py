"""FLIPD against its published form with the whole Jacobian, and against known dimensions."""

import pytest
import torch

from equipoise.denoisers import GaussianDenoiser
from equipoise.detection import IntrinsicDimension


def test_it_equals_the_published_form_with_the_exact_trace(smooth, evidence):
    """d + sigma^2 (tr grad s + ||s||^2), s the score, within four standard errors."""
    images, ids, _ = evidence
    sigma, dim = 0.6, 6

    def score_at(flat):
        x0_hat = smooth.denoise(flat.reshape(1, 1, 3, 2), torch.tensor([sigma]).double())
        return (x0_hat.flatten() - flat) / sigma**2

    found = IntrinsicDimension(sigma=sigma, draws=500).score(smooth, images, ids)
    spread = found.per_draw.std(dim=1) / 500**0.5
    for row in range(4):
        flat = images[row].flatten()
        trace = torch.func.jacrev(score_at)(flat).trace()
        expected = -(dim + sigma**2 * (trace + score_at(flat).square().sum()))
        assert abs(float(found.values[row] - expected)) < 4 * float(spread[row])


def test_one_draw_is_the_sign_vectors_quadratic_form(smooth, evidence):
    from equipoise.sampling import draw_noise

    images, ids, _ = evidence
    found = IntrinsicDimension(sigma=0.6, draws=1, seed=2).score(smooth, images, ids)
    v = draw_noise((1, 3, 2), seed=2, item_id="c", draw=0).double().sign().flatten()

    def denoise(flat):
        return smooth.denoise(flat.reshape(1, 1, 3, 2), torch.tensor([0.6]).double()).flatten()

    flat = images[2].flatten()
    quadratic = v @ torch.func.jacrev(denoise)(flat) @ v
    moved = (denoise(flat) - flat).square().sum() / 0.6**2
    assert float(found.values[2]) == pytest.approx(float(-(quadratic + moved)))


@pytest.mark.parametrize("dimension", [1, 3, 7])
def test_a_subspace_has_its_dimension(dimension):
    """A Gaussian on a subspace, at its mean, much wider than the noise."""
    basis = torch.linalg.qr(torch.randn(10, dimension, dtype=torch.float64)).Q
    denoiser = GaussianDenoiser(torch.zeros(10).double(), 100 * basis @ basis.T)
    images = torch.zeros(1, 10, dtype=torch.float64)
    found = IntrinsicDimension(sigma=0.1, draws=300).score(denoiser, images, ["mean"])
    assert float(-found.values[0]) == pytest.approx(dimension, rel=0.2)


def test_no_gradient_stays_and_a_model_with_gradients_is_scored(smooth, evidence):
    images, ids, _ = evidence
    whole = IntrinsicDimension(sigma=0.6).score(smooth, images, ids).values
    smooth.network.requires_grad_(True)
    again = IntrinsicDimension(sigma=0.6).score(smooth, images, ids).values
    smooth.network.requires_grad_(False)
    torch.testing.assert_close(again, whole)
    assert all(p.grad is None for p in smooth.network.parameters())
