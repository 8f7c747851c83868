import pytest
import torch

from equipoise.errors import BadInputError
from equipoise.theory import GaussianMixture, expected_loss, limit_shrinkage, loss_bound

SIGMA, RANK = 0.6, 3


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def build_skew_mixture():
    """Two modes of unlike weight with full covariances, in six dimensions."""
    roots = draw(2, 6, 6, seed=0)
    return GaussianMixture(
        torch.tensor([0.3, 0.7], dtype=torch.float64),
        draw(2, 6, seed=1),
        0.1 * roots @ roots.transpose(1, 2),
    )


@pytest.mark.parametrize("mode", [0, 1])
def test_limit_is_the_truncated_product_of_the_corollary(mode):
    mixture, weight_decay = build_skew_mixture(), 0.01
    S, rho = mixture.second_moments[mode], float(mixture.weights[mode])
    eye = torch.eye(6, dtype=torch.float64)
    product = (S - weight_decay / rho * eye) @ torch.linalg.inv(S + SIGMA**2 * eye)
    _, U = torch.linalg.eigh(S)
    kept = U[:, -RANK:] @ U[:, -RANK:].T
    found = limit_shrinkage(mixture, mode, sigma=SIGMA, weight_decay=weight_decay, rank=RANK)
    torch.testing.assert_close(found, kept @ product @ kept)


def test_parts_are_those_of_a_simulation():
    """With noise on the test sample all three parts are met, without it the variance is gone."""
    mixture = build_skew_mixture()
    parts = expected_loss(mixture, sigma=SIGMA, rank=RANK)
    generator = torch.Generator().manual_seed(2)
    clean, noisy = 0.0, 0.0
    for k, rho in enumerate(mixture.weights.tolist()):
        counts = [0, 0]
        counts[k] = 200_000
        x0 = mixture.sample_clusters(counts, generator)[k]
        A = limit_shrinkage(mixture, k, sigma=SIGMA, weight_decay=0.0, rank=RANK)
        eps = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
        clean += rho * float((x0 @ A - x0).square().sum(1).mean())
        noisy += rho * float(((x0 + SIGMA * eps) @ A - x0).square().sum(1).mean())
    assert parts.clean == pytest.approx(clean, rel=0.01)
    assert parts.noisy == pytest.approx(noisy, rel=0.01)
    assert parts.variance > 0.1 * parts.noisy


def test_bias_and_variance_add_up_to_the_exact_shrinkage_loss():
    mixture = build_skew_mixture()
    parts = expected_loss(mixture, sigma=SIGMA, rank=6)
    expected = 0.0
    for S, rho in zip(mixture.second_moments, mixture.weights, strict=True):
        eig = torch.linalg.eigvalsh(S)
        expected += float(rho * (eig * SIGMA**2 / (eig + SIGMA**2)).sum())
    assert parts.tail == 0
    assert parts.noisy == pytest.approx(expected)


def test_the_printed_bound_falls_below_the_loss_it_should_bound():
    mixture = build_skew_mixture()
    parts = expected_loss(mixture, sigma=SIGMA, rank=RANK)

    def bound(n):
        return loss_bound(mixture, sigma=SIGMA, rank=RANK, num_samples=n, constant=1.0)

    assert bound(10) > parts.noisy > bound(10**6) > parts.clean
    assert bound(10) - parts.clean == pytest.approx(2 * RANK / (SIGMA**2 * 10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: limit_shrinkage(m, 0, sigma=1.0, weight_decay=9.0, rank=2), "Lower weight"),
        (lambda m: limit_shrinkage(m, 0, sigma=-1.0, weight_decay=0.0, rank=2), "sigma=-1"),
        (lambda m: limit_shrinkage(m, 2, sigma=1.0, weight_decay=0.0, rank=2), "mode=2"),
        (lambda m: limit_shrinkage(m, -1, sigma=1.0, weight_decay=0.0, rank=2), "mode=-1"),
        (lambda m: expected_loss(m, sigma=1.0, rank=0), "from 1 to 6"),
        (lambda m: expected_loss(m, sigma=1.0, rank=7), "from 1 to 6"),
        (lambda m: loss_bound(m, sigma=1.0, rank=2, num_samples=0, constant=1.0), "num_samples=0"),
        (lambda m: loss_bound(m, sigma=1.0, rank=2, num_samples=9, constant=-1.0), "constant=-1"),
    ],
)
def test_wrong_settings_are_refused(call, message):
    with pytest.raises(BadInputError, match=message):
        call(build_skew_mixture())


def test_without_noise_the_bound_is_infinite():
    mixture = build_skew_mixture()
    bound = loss_bound(mixture, sigma=0.0, rank=2, num_samples=9, constant=1.0)
    assert bound == float("inf")
