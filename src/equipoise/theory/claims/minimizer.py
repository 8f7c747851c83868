r"""Claims about the minimizer itself: Theorem 3.1, Eq. 8 and Definition 3.1."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.theory.claims.claim import Claim
from equipoise.theory.claims.example import (
    Level,
    build_mixture,
    build_samples,
    draw_normal,
    measure_gradient,
)
from equipoise.theory.closed_forms import generalizing_weights, memorizing_weights
from equipoise.theory.objective import empirical_loss, relu_loss
from equipoise.theory.relu_dae import ReluDae, build_relu_dae
from equipoise.theory.separability import separability


@dataclass(frozen=True)
class Solution:
    """Weights `W1 = W2 = W`, and the setting they should minimize."""

    W: Float[Tensor, "dim unit"]
    clusters: tuple[Float[Tensor, "_ dim"], ...]
    sigma: float
    weight_decay: float

    @property
    def X(self) -> Float[Tensor, "case dim"]:
        """All samples."""
        return torch.cat(self.clusters)

    def moved(self, factor: float) -> "Solution":
        """Return the same setting with all weights scaled."""
        return replace(self, W=factor * self.W)


def build_blocks() -> Solution:
    """Three clusters of 40, 50 and 60 samples, blocks of rank 4."""
    mixture = build_mixture(3, 18, spread=0.6, directions=5)
    clusters = mixture.sample_clusters([40, 50, 60], torch.Generator().manual_seed(0))
    level = Level(sigma=0.3, weight_decay=0.002)
    weights = generalizing_weights(clusters, rank=4, **level)
    return Solution(weights.W, tuple(clusters), **level)


def measure_criticality(case: Solution) -> float:
    """Return the relative gradient of the loss with the active units fixed."""

    def loss(dae: ReluDae) -> Tensor:
        return empirical_loss(dae, case.X, sigma=case.sigma, weight_decay=case.weight_decay)

    return measure_gradient(case.W, loss)


def build_small_blocks() -> Solution:
    """A setting small enough for its whole Hessian: 2 clusters, 11 dimensions, 6 units."""
    mixture = build_mixture(2, 11, spread=0.5, directions=4)
    clusters = mixture.sample_clusters([30, 30], torch.Generator().manual_seed(1))
    level = Level(sigma=0.3, weight_decay=0.002)
    weights = generalizing_weights(clusters, rank=3, **level)
    return Solution(weights.W, tuple(clusters), **level)


def measure_curvature(case: Solution) -> float:
    """Return the smallest eigenvalue of the Hessian over its largest."""
    X, shape = case.X, case.W.shape
    D = (X @ case.W > 0).double()

    def loss(weights: Tensor) -> Tensor:
        W1, W2 = weights.reshape(2, *shape)
        error = (((X @ W1) * D) @ W2.T - X).square().sum(1).mean()
        A = torch.einsum("du,nu,eu->nde", W2, D, W1)
        decay = case.weight_decay * weights.square().sum()
        return error + case.sigma**2 * A.square().sum((1, 2)).mean() + decay

    H: Any = torch.autograd.functional.hessian(loss, torch.stack([case.W, case.W]).flatten())
    eigenvalues = torch.linalg.eigvalsh(H)
    return float(eigenvalues[0] / eigenvalues[-1])


def measure_optimum(case: Solution) -> float:
    """Compare each block's loss with the best an optimizer finds from random weights.

    The optimizer sees the linear problem of the block alone: any weights, no ReLU. Returns the
    largest relative difference over the blocks.
    """
    blocks = case.W.chunk(len(case.clusters), dim=1)
    differences = []
    for X_k, W_k in zip(case.clusters, blocks, strict=True):
        share = len(X_k) / len(case.X)

        def loss(W1: Tensor, W2: Tensor, X_k: Tensor = X_k, share: float = share) -> Tensor:
            error = (X_k @ W1 @ W2.T - X_k).square().sum(1).mean()
            noise = case.sigma**2 * (W2 @ W1.T).square().sum()
            decay = case.weight_decay * (W1.square().sum() + W2.square().sum())
            return share * (error + noise) + decay

        W1, W2 = (0.3 * draw_normal(2, *W_k.shape, seed=3)).requires_grad_(True).unbind()
        start = [W.detach().clone().requires_grad_(True) for W in (W1, W2)]
        found = _minimize(lambda loss=loss, start=start: loss(start[0], start[1]), start)
        differences.append(abs(float(loss(W_k, W_k)) / found - 1))
    return max(differences)


@dataclass(frozen=True)
class Residual:
    """Memorizing weights at several noise levels, scaled by `factor` (1: Eq. 9)."""

    X: Float[Tensor, "case dim"]
    sigmas: tuple[float, ...]
    weight_decay: float
    factor: float


def build_residual() -> Residual:
    """Five samples, four levels; the margin is 2.2 to 4.5 of them."""
    return Residual(build_samples(5, 16), (0.2, 0.25, 0.3, 0.4), 0.02, 1.0)


def measure_residual(case: Residual) -> float:
    """Return the largest slope of log gradient of the true ReLU loss on (margin / sigma)^2."""
    margin = separability(case.X).margin
    points = []
    for sigma in case.sigmas:
        level = Level(sigma=sigma, weight_decay=case.weight_decay)
        W = memorizing_weights(case.X, num_units=len(case.X), **level).W

        def loss(dae: ReluDae, level: Level = level) -> Tensor:
            return relu_loss(dae, case.X, **level)

        points.append(((margin / sigma) ** 2, log(measure_gradient(case.factor * W, loss))))
    return max((g2 - g1) / (x2 - x1) for (x1, g1), (x2, g2) in pairwise(points))


@dataclass(frozen=True)
class Separation:
    """Data sets, and for each the weights that should store it."""

    sets: tuple[Float[Tensor, "case dim"], ...]
    weights: tuple[Float[Tensor, "dim unit"], ...]


def build_separation() -> Separation:
    """200 random sets of four directions in five dimensions; some are separable, most not."""
    centred = [draw_normal(4, 5, seed=seed) for seed in range(200)]
    sets = tuple(X - 0.9 * X.mean(0) for X in centred)
    weights = tuple(
        memorizing_weights(X, sigma=0.1, weight_decay=0.0, num_units=4).W for X in sets
    )
    return Separation(sets, weights)


def measure_separation(case: Separation) -> float:
    """Count the sets where `beta < 0` and "each unit fires for its own sample only" disagree."""
    wrong = 0
    for X, W in zip(case.sets, case.weights, strict=True):
        h = build_relu_dae(W).representation(X) > 0
        one_hot = bool(torch.equal(h, torch.eye(len(X), dtype=torch.bool)))
        wrong += one_hot != (separability(X).beta < 0)
    return float(wrong)


def _minimize(loss: Callable[[], Tensor], weights: list[Tensor]) -> float:
    optimizer = torch.optim.LBFGS(
        weights, max_iter=2000, tolerance_grad=1e-9, tolerance_change=1e-11, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    return float(loss().detach())


CLAIMS = (
    Claim(
        "closed form is stationary", "Theorem 3.1",
        "Gradient of the loss with fixed active units at the blocks of Eq. 8, relative; float64.",
        1e-8, build_blocks, measure_criticality,
    ),
    Claim(
        "closed form is a local minimum", "Theorem 3.1, curvature",
        "Smallest eigenvalue of the Hessian over the largest; the rotations of a block are flat, "
        "so 0 is the least a minimum can have.",
        -1e-9, build_small_blocks, measure_curvature, at_least=True,
    ),
    Claim(
        "blocks are the best of their rank", "Eq. 8",
        "Difference to the loss that an optimizer reaches from random weights, relative.",
        1e-6, build_blocks, measure_optimum,
    ),
    Claim(
        "true ReLU: residual falls with the margin", "Theorem 3.1, residual",
        "Largest slope of log gradient on (margin / sigma)^2 between four noise levels. A unit is "
        "switched with probability exp(-(margin / sigma)^2 / 2) times a falling factor.",
        -0.5, build_residual, measure_residual,
    ),
    Claim(
        "beta < 0 decides who fires", "Def. 3.1",
        "Random data sets, of 200, where beta < 0 and a one-hot representation disagree.",
        0.0, build_separation, measure_separation,
    ),
)  # fmt: skip
