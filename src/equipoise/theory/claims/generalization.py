r"""Claims about generalizing blocks: Corollary 3.3."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.theory.claims.claim import Claim
from equipoise.theory.claims.example import Level, build_mixture, count_effective, draw_normal
from equipoise.theory.closed_forms import generalizing_weights
from equipoise.theory.generalization import expected_loss, limit_shrinkage
from equipoise.theory.mixture import GaussianMixture
from equipoise.theory.objective import relu_loss
from equipoise.theory.relu_dae import ReluDae, build_relu_dae
from equipoise.theory.training import build_random_dae, fit_relu_dae, train_relu_dae


@dataclass(frozen=True)
class Limit:
    """A mixture, growing numbers of samples a mode, and the noise level of the limit's formula."""

    mixture: GaussianMixture
    counts: tuple[int, ...]
    sigma: float
    limit_sigma: float
    weight_decay: float
    rank: int


def build_limit() -> Limit:
    """Two modes of six directions, of which five are kept; 100 to 25,600 samples a mode."""
    mixture = build_mixture(2, 14, spread=1.2, directions=6)
    return Limit(mixture, (100, 1600, 25_600), 0.8, 0.8, 0.01, 5)


def measure_limit(case: Limit) -> float:
    """Return the largest slope of log error of `W_k W_k^T` on log n; mean over eight draws."""
    points = []
    for count in case.counts:
        errors = [
            _measure_distance(case, count, torch.Generator().manual_seed(seed))
            for seed in range(8)
        ]
        points.append((log(count), log(sum(errors) / len(errors))))
    return max((e2 - e1) / (n2 - n1) for (n1, e1), (n2, e2) in pairwise(points))


def _measure_distance(case: Limit, count: int, generator: torch.Generator) -> float:
    modes = len(case.mixture.weights)
    clusters = case.mixture.sample_clusters([count] * modes, generator)
    W = generalizing_weights(
        clusters, sigma=case.sigma, weight_decay=case.weight_decay, rank=case.rank
    ).W
    total = 0.0
    for k, W_k in enumerate(W.chunk(modes, dim=1)):
        limit = limit_shrinkage(
            case.mixture, k, sigma=case.limit_sigma, weight_decay=case.weight_decay, rank=case.rank
        )
        total += float((W_k @ W_k.T - limit).norm() / limit.norm())
    return total / modes


@dataclass(frozen=True)
class Fresh:
    """A mixture whose samples train blocks; fresh ones, with noise, test them."""

    mixture: GaussianMixture
    sigma: float
    test_sigma: float
    rank: int


def build_fresh() -> Fresh:
    """Three modes of four directions, blocks of rank 4: one direction is left to the tail."""
    return Fresh(build_mixture(3, 18, spread=0.6, directions=4), 0.3, 0.3, 4)


def measure_fresh(case: Fresh) -> float:
    """Compare the loss on fresh noisy samples with the exact expectation; relative difference."""
    generator = torch.Generator().manual_seed(5)
    modes = len(case.mixture.weights)
    clusters = case.mixture.sample_clusters([4000] * modes, generator)
    W = generalizing_weights(clusters, sigma=case.sigma, weight_decay=0.0, rank=case.rank).W
    x0 = torch.cat(case.mixture.sample_clusters([20_000] * modes, generator))
    x = x0 + case.test_sigma * draw_normal(*x0.shape, seed=6)
    with torch.no_grad():
        loss = float((build_relu_dae(W)(x) - x0).square().sum(1).mean())
    return abs(loss / expected_loss(case.mixture, sigma=case.sigma, rank=case.rank).noisy - 1)


@dataclass(frozen=True)
class Trained:
    """Networks trained on clusters from several seeds; the closed form beside them."""

    daes: tuple[ReluDae, ...]
    closed: ReluDae
    clusters: tuple[Float[Tensor, "_ dim"], ...]
    fresh: Float[Tensor, "case dim"]
    sigma: float
    weight_decay: float
    rank: int


@cache
def build_trained() -> Trained:
    """Three modes of rank 5, 60 samples each, 24 units, three seeds; trained once."""
    mixture = build_mixture(3, 15, spread=0.5, directions=4)
    generator = torch.Generator().manual_seed(7)
    clusters = mixture.sample_clusters([60] * 3, generator)
    level, rank = Level(sigma=0.3, weight_decay=0.002), 5
    closed = generalizing_weights(clusters, rank=rank, **level).W
    X = torch.cat(clusters)
    daes = []
    for seed in (0, 1, 2):
        start = build_random_dae(X.shape[1], 24, scale=0.05, seed=seed, dtype=X.dtype)
        states = train_relu_dae(start, X, steps=3000, rate=0.02, seed=seed, **level)
        daes.append(fit_relu_dae(states))
    fresh = torch.cat(mixture.sample_clusters([200] * 3, generator))
    return Trained(tuple(daes), build_relu_dae(closed), tuple(clusters), fresh, rank=rank, **level)


def measure_trained(case: Trained) -> float:
    """Compare the true ReLU loss with the closed form's; worst relative difference."""

    def measure(dae: ReluDae) -> float:
        X = torch.cat(case.clusters)
        return float(relu_loss(dae, X, sigma=case.sigma, weight_decay=case.weight_decay).detach())

    closed = measure(case.closed)
    return max(abs(measure(dae) / closed - 1) for dae in case.daes)


def measure_balance(case: Trained) -> float:
    """Return the units that share a fresh sample's energy over the rank; median, worst net."""
    x = case.fresh + case.sigma * draw_normal(*case.fresh.shape, seed=8)
    with torch.no_grad():
        counts = [count_effective(dae.representation(x)).median() for dae in case.daes]
    return float(torch.stack(counts).min() / case.rank)


CLAIMS = (
    Claim(
        "blocks tend to the shrinkage of their mode", "Cor. 3.3, limit",
        "Largest slope of log error on log n, from 100 to 25,600 samples a mode. Sampling errors "
        "have slope -1/2; a wrong limit (sigma I for sigma^2 I, as printed) ends at slope 0.",
        -0.4, build_limit, measure_limit,
    ),
    Claim(
        "loss on fresh samples", "Cor. 3.3, test loss",
        "Relative difference between the loss measured on 60,000 fresh noisy samples and bias + "
        "variance + tail. The printed bound lacks the variance.",
        0.02, build_fresh, measure_fresh,
    ),
    Claim(
        "training finds the generalizing loss", "Theorem 3.1, trained",
        "Relative difference between the loss of trained networks and Eq. 8's, worst of 3 seeds.",
        0.01, build_trained, measure_trained,
    ),
    Claim(
        "generalized representation is balanced", "Cor. 3.3, representation",
        "Units of trained networks that share a fresh sample's energy, over the rank of its mode.",
        0.75, build_trained, measure_balance, at_least=True,
    ),
)  # fmt: skip
