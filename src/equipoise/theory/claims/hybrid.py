r"""Claims about one network that memorizes and generalizes: Corollary 3.4."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.theory.claims.claim import Claim
from equipoise.theory.claims.example import Level, build_mixture, draw_normal
from equipoise.theory.claims.minimizer import Solution, measure_criticality
from equipoise.theory.closed_forms import hybrid_weights
from equipoise.theory.contrast import measure_contrast
from equipoise.theory.objective import relu_loss
from equipoise.theory.relu_dae import ReluDae, build_relu_dae
from equipoise.theory.training import build_random_dae, fit_relu_dae, train_relu_dae

DUPLICATES, MODES, DIRECTIONS, UNITS = 4, 2, 8, 48
DRAWS = 8
"""Noise draws that the std of a sample is the mean of."""
LEVEL = Level(sigma=0.25, weight_decay=0.002)


@dataclass(frozen=True)
class Hybrid:
    """One training set of duplicates and modes, and networks trained on it."""

    daes: tuple[ReluDae, ...]
    closed: Float[Tensor, "dim unit"]
    clusters: tuple[Float[Tensor, "_ dim"], ...]
    """The duplicates first."""
    fresh: Float[Tensor, "case dim"]
    """Samples of the modes that the network never saw."""


def build_clusters() -> tuple[list[Float[Tensor, "_ dim"]], Float[Tensor, "case dim"]]:
    """Four samples given 30 times each, two modes of 9 directions, and fresh samples of these."""
    count = DUPLICATES + MODES
    mixture = build_mixture(
        count, count * (1 + DIRECTIONS), spread=0.4, directions=DIRECTIONS, radius=6.0
    )
    generator = torch.Generator().manual_seed(0)
    spread = mixture.sample_clusters([0] * DUPLICATES + [100] * MODES, generator)
    copies = [mean.expand(30, -1).clone() for mean in mixture.means[:DUPLICATES]]
    fresh = torch.cat(mixture.sample_clusters([0] * DUPLICATES + [150] * MODES, generator))
    return copies + spread[DUPLICATES:], fresh


def build_closed() -> Solution:
    """The closed form of the hybrid data."""
    clusters, _ = build_clusters()
    W = hybrid_weights(clusters, rank=DIRECTIONS + 1, num_units=UNITS, **LEVEL).W
    return Solution(W, tuple(clusters), **LEVEL)


@cache
def build_hybrid() -> Hybrid:
    """Three networks trained by noise from random weights; trained once, for several claims."""
    clusters, fresh = build_clusters()
    X = torch.cat(clusters)
    daes = tuple(train_hybrid(X, seed=seed) for seed in (0, 1, 2))
    return Hybrid(daes, build_closed().W, tuple(clusters), fresh)


def train_hybrid(X: Float[Tensor, "case dim"], *, seed: int, batch: int | None = 128) -> ReluDae:
    """Train a network of the claims; without minibatches the loss is reached in other ways."""
    start = build_random_dae(X.shape[1], UNITS, scale=0.05, seed=seed)
    states = train_relu_dae(start, X, steps=6000, rate=0.02, batch=batch, seed=seed, **LEVEL)
    return fit_relu_dae(states).double()


def measure_trained(case: Hybrid) -> float:
    """Compare the true ReLU loss with the closed form's; worst relative difference."""
    X = torch.cat(case.clusters)
    closed = float(relu_loss(build_relu_dae(case.closed), X, **LEVEL).detach())
    return max(abs(float(relu_loss(dae, X, **LEVEL).detach()) / closed - 1) for dae in case.daes)


def measure_separation(case: Hybrid) -> float:
    """Return the lower end of the AUROC of the std, worst network: duplicates against fresh."""
    return min(measure_auroc(case, dae)["low"] for dae in case.daes)


def measure_auroc(case: Hybrid, dae: ReluDae) -> dict[str, Any]:
    """Measure how well the std tells noisy duplicates from noisy fresh samples, with interval."""
    copies = torch.cat([X_k[:1].repeat(30, 1) for X_k in case.clusters[:DUPLICATES]])
    groups = [k for k in range(DUPLICATES) for _ in range(30)]
    memorized, others = (
        _measure_std(dae, x0, seed) for x0, seed in ((copies, 1), (case.fresh, 2))
    )
    return measure_contrast(memorized.numpy(), others.numpy(), groups=groups)


def _measure_std(dae: ReluDae, x0: Float[Tensor, "case dim"], seed: int) -> Tensor:
    x = x0 + LEVEL["sigma"] * draw_normal(DRAWS, *x0.shape, seed=seed)
    h = dae.representation(x.flatten(0, 1)).reshape(DRAWS, len(x0), -1)
    return h.std(2, correction=0).mean(0)


CLAIMS = (
    Claim(
        "hybrid weights are stationary", "Cor. 3.4",
        "Gradient of the loss with fixed active units, relative; float64.",
        1e-8, build_closed, measure_criticality,
    ),
    Claim(
        "training finds the hybrid loss", "Cor. 3.4, trained",
        "Relative difference between the loss of trained networks and the closed form's, worst of "
        "3 seeds.",
        0.01, build_hybrid, measure_trained,
    ),
    Claim(
        "std tells memorized from generalized", "Cor. 3.4, representation",
        "Lower end of the 95 % interval of the AUROC of the representation's standard deviation, "
        "in one trained network, worst of 3: duplicates against fresh samples, both with noise.",
        0.9, build_hybrid, measure_separation, at_least=True,
    ),
)  # fmt: skip
