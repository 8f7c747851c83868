r"""Claims about memorizing weights: Eq. 9 and Corollary 3.2."""

from dataclasses import dataclass
from math import exp

from jaxtyping import Float
from torch import Tensor

from equipoise.theory.claims.claim import Claim
from equipoise.theory.claims.example import Level, build_samples, build_simplex, draw_normal
from equipoise.theory.claims.minimizer import Solution, measure_criticality
from equipoise.theory.closed_forms import memorizing_weights
from equipoise.theory.objective import relu_loss
from equipoise.theory.relu_dae import build_relu_dae
from equipoise.theory.separability import separability
from equipoise.theory.training import build_random_dae, fit_relu_dae, train_relu_dae


def build_stored() -> Solution:
    """Five samples of unlike norms, eight units."""
    X, level = build_samples(5, 16), Level(sigma=0.4, weight_decay=0.3)
    W = memorizing_weights(X, num_units=8, **level).W
    return Solution(W, tuple(X.split(1)), **level)


@dataclass(frozen=True)
class Storage:
    """Data sets of different dim, to be stored at one noise level without weight decay."""

    sets: tuple[Float[Tensor, "case _"], ...]
    sigma: float


def build_storage() -> Storage:
    """The same five samples in 8, 32 and 128 dimensions."""
    return Storage(tuple(build_samples(5, dim) for dim in (8, 32, 128)), 0.2)


def measure_storage(case: Storage) -> float:
    """Compare the true ReLU loss with Cor. 3.2's value; largest relative difference."""
    differences = []
    for X in case.sets:
        W = memorizing_weights(X, sigma=case.sigma, weight_decay=0.0, num_units=len(X)).W
        loss = _loss(W, X, sigma=case.sigma, weight_decay=0.0)
        energy = X.square().sum(1)
        predicted = float((case.sigma**2 * energy / (case.sigma**2 + energy)).mean())
        differences.append(abs(loss / predicted - 1))
    return max(differences)


@dataclass(frozen=True)
class Training:
    """Samples to train on from several seeds, with p units."""

    X: Float[Tensor, "case dim"]
    sigma: float
    weight_decay: float
    num_units: int
    seeds: tuple[int, ...]


def build_training() -> Training:
    """Five samples, twenty units, three seeds."""
    return Training(build_samples(5, 16), 0.2, 0.02, 20, (0, 1, 2))


def measure_training(case: Training) -> float:
    """Train by noise, from random weights; worst relative difference to Eq. 9's."""
    level = Level(sigma=case.sigma, weight_decay=case.weight_decay)
    W = memorizing_weights(case.X, num_units=case.num_units, **level).W
    closed = _loss(W, case.X, **level)
    differences = []
    for seed in case.seeds:
        start = build_random_dae(
            case.X.shape[1], case.num_units, scale=0.1, seed=seed, dtype=case.X.dtype
        )
        states = train_relu_dae(start, case.X, steps=1500, rate=0.03, batch=160, **level)
        loss = float(relu_loss(fit_relu_dae(states), case.X, **level))
        differences.append(abs(loss / closed - 1))
    return max(differences)


@dataclass(frozen=True)
class Representation:
    """Weights with unit i for sample i, and the noise under which they are looked at."""

    W: Float[Tensor, "dim unit"]
    X: Float[Tensor, "case dim"]
    sigma: float


def build_representation() -> Representation:
    """Five samples; the margin is 1.7 noise levels, so that units do fire by mistake."""
    X = build_simplex(5, 16, radius=4.0)
    W = memorizing_weights(X, sigma=0.6, weight_decay=0.0, num_units=5).W
    return Representation(W, X, 0.6)


def measure_one_hot(case: Representation, draws: int = 20_000) -> float:
    """Compare the energy of the foreign units, simulated, with what the margin allows.

    A unit at distance a >= margin / sigma from its switch, with preactivations of deviation s, has
    `E[h^2] <= s^2 exp(-a^2 / 2) / 2`. Returns the largest ratio over the samples.
    """
    margin = separability(case.X).margin
    x = case.X.repeat(draws, 1)
    x = x + case.sigma * draw_normal(*x.shape, seed=4)
    energy = build_relu_dae(case.W).representation(x).detach().square()
    energy = energy.reshape(draws, len(case.X), -1).mean(0)  # sample unit
    s2 = case.sigma**2 * case.W.square().sum(0)
    n = len(case.X)
    foreign = energy.sum(1) - energy[:, :n].diagonal()
    allowed = (s2.sum() - s2[:n]) * exp(-((margin / case.sigma) ** 2) / 2) / 2
    return float((foreign / allowed).max())


def _loss(W: Tensor, X: Tensor, *, sigma: float, weight_decay: float) -> float:
    dae = build_relu_dae(W).requires_grad_(False)
    return float(relu_loss(dae, X, sigma=sigma, weight_decay=weight_decay))


CLAIMS = (
    Claim(
        "memorizing weights are stationary", "Eq. 9",
        "Gradient of the loss with fixed active units, relative; float64.",
        1e-8, build_stored, measure_criticality,
    ),
    Claim(
        "memorizing loss, whatever the dimension", "Cor. 3.2, loss",
        "Difference between the true ReLU loss and the mean of sigma^2 |x|^2 / (sigma^2 + |x|^2), "
        "relative, in 8, 32 and 128 dimensions.",
        1e-3, build_storage, measure_storage,
    ),
    Claim(
        "training finds the memorizing loss", "Cor. 3.2, trained",
        "Relative difference between the loss of trained networks and Eq. 9's, worst of 3 seeds.",
        0.01, build_training, measure_training,
    ),
    Claim(
        "memorized representation is one-hot", "Cor. 3.2, representation",
        "Energy of the foreign units under noise, over what the margin of Theorem 3.1 allows.",
        1.0, build_representation, measure_one_hot,
    ),
)  # fmt: skip
