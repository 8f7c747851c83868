import math

import pytest
import torch

from equipoise.denoisers import Denoiser
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory import GaussianMixture, empirical_denoiser


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def parts():
    """Weights, means and covariances of three modes in four dimensions; the last is singular."""
    roots = draw(3, 4, 4, seed=0)
    roots[2, :, 1:] = 0
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    return weights, 2 * draw(3, 4, seed=1), roots @ roots.transpose(1, 2)


def posterior_mean(x, sigma, weights, means, covariances):
    """Bayes' rule mode by mode, with inverses and determinants."""
    logs, answers = [], []
    for rho, mu, Sigma in zip(weights, means, covariances, strict=True):
        C = Sigma + sigma**2 * torch.eye(4, dtype=torch.float64)
        away = torch.linalg.inv(C) @ (x - mu)
        logs.append(math.log(rho) - 0.5 * math.log(torch.linalg.det(C)) - 0.5 * (x - mu) @ away)
        answers.append(mu + Sigma @ away)
    w = torch.softmax(torch.stack(logs), 0)
    return sum(share * answer for share, answer in zip(w, answers, strict=True))


def test_it_is_a_denoiser():
    assert isinstance(GaussianMixture(*parts()), Denoiser)


@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_denoise_is_the_posterior_mean(sigma):
    mixture, x = GaussianMixture(*parts()), 2 * draw(6, 4, seed=2)
    found = mixture.denoise(x, torch.full((6,), sigma, dtype=torch.float64))
    expected = torch.stack([posterior_mean(row, sigma, *parts()) for row in x])
    torch.testing.assert_close(found, expected)


def test_every_sample_has_its_own_noise_level():
    mixture, x = GaussianMixture(*parts()), draw(3, 4, seed=3)
    sigma = torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64)
    alone = [mixture.denoise(x[i : i + 1], sigma[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(mixture.denoise(x, sigma), torch.cat(alone))


def test_without_noise_a_density_is_needed():
    mixture, x = GaussianMixture(*parts()), draw(2, 4, seed=2)
    with pytest.raises(BadInputError, match="singular covariance"):
        mixture.denoise(x, torch.zeros(2).double())
    regular = GaussianMixture(mixture.weights[:1] * 2, mixture.means[:1], mixture.covariances[:1])
    torch.testing.assert_close(regular.denoise(x, torch.zeros(2).double()), x)


def test_samples_have_the_moments_of_their_mode():
    mixture = GaussianMixture(*parts())
    clusters = mixture.sample_clusters([60_000, 0, 60_000], torch.Generator().manual_seed(4))
    assert [len(X_k) for X_k in clusters] == [60_000, 0, 60_000]
    for k in (0, 2):
        second = clusters[k].T @ clusters[k] / len(clusters[k])
        room = 0.03 * float(mixture.second_moments[k].diagonal().max())
        torch.testing.assert_close(second, mixture.second_moments[k], rtol=0, atol=room)


def test_data_std_is_that_of_samples():
    mixture = GaussianMixture(*parts())
    X = torch.cat(
        mixture.sample_clusters([50_000, 30_000, 20_000], torch.Generator().manual_seed(5))
    )
    assert mixture.data_std == pytest.approx(float(X.var(0).mean().sqrt()), rel=0.01)


def test_the_best_denoiser_of_samples_is_their_softmax_mean():
    X, x, sigma = draw(9, 4, seed=6), draw(5, 4, seed=7), 0.8
    found = empirical_denoiser(X).denoise(x, torch.full((5,), sigma, dtype=torch.float64))
    for row, answer in zip(x, found, strict=True):
        w = [math.exp(-float((row - x_i).square().sum()) / (2 * sigma**2)) for x_i in X]
        expected = sum(share * x_i for share, x_i in zip(w, X, strict=True)) / sum(w)
        torch.testing.assert_close(answer, expected)


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (0, torch.tensor([0.5, 0.5]).double(), "of shape"),
        (0, torch.tensor([0.5, 0.3, 0.3]).double(), "sum to 1"),
        (0, torch.tensor([0.8, 0.4, -0.2]).double(), "positive"),
        (2, draw(3, 4, 4, seed=9), "asymmetry"),
        (2, -torch.eye(4).double().expand(3, 4, 4), "smallest eigenvalue"),
        (1, torch.zeros(0, 4).double(), "no sample"),
    ],
    ids=["modes", "sum", "sign", "asymmetric", "negative", "empty"],
)
def test_what_is_no_mixture_is_refused(index, value, message):
    given = list(parts())
    given[index] = value
    with pytest.raises(BadInputError, match=message):
        GaussianMixture(*given)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_numbers_that_are_not_finite_are_refused(index):
    given = list(parts())
    given[index] = torch.full_like(given[index], torch.nan)
    with pytest.raises(NonFiniteError):
        GaussianMixture(*given)


@pytest.mark.parametrize("counts", [[1, 2], [1, 2, -3]])
def test_counts_must_fit_the_modes(counts):
    with pytest.raises(BadInputError, match="one number a mode"):
        GaussianMixture(*parts()).sample_clusters(counts, torch.Generator())
