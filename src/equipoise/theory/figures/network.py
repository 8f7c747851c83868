"""The networks the figures look at: how they are trained, and what two of their numbers are."""

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.theory.closed_forms import memorizing_weights
from equipoise.theory.objective import relu_loss
from equipoise.theory.regime import (
    Images,
    build_crowded,
    build_generalizing,
    build_hybrid,
    build_memorizing,
)
from equipoise.theory.relu_dae import ReluDae, build_relu_dae
from equipoise.theory.training import build_random_dae, fit_relu_dae, train_relu_dae

FEW_UNITS, MANY_UNITS = 20, 64
DECAY = {"memorizing": 0.1, "generalizing": 1e-4, "hybrid": 0.3, "crowded": 0.3}
"""Weight decay of each regime. Where images are repeated it chooses between few columns and many:
at a lower one hardly a column is a repeated image."""


class Networks:
    """The networks that several parts look at, trained when they are first asked for."""

    def __init__(self, images: Images, seed: int) -> None:
        self.seed = seed
        built = (
            build_memorizing(images, seed=seed),
            build_generalizing(images),
            build_hybrid(images, seed=seed),
            build_crowded(images, seed=seed),
        )
        self.regimes = {regime.name: regime for regime in built}
        self._trained: dict[tuple[str, float, int], ReluDae] = {}

    def get(self, name: str, sigma: float, *, offset: int = 0) -> ReluDae:
        """Train a network of a regime at a noise level, once."""
        key = (name, sigma, offset)
        if key not in self._trained:
            train = train_few if name == "memorizing" else train_many
            self._trained[key] = train(
                self.regimes[name].X,
                sigma=sigma,
                weight_decay=DECAY[name],
                seed=self.seed + offset,
            )
        return self._trained[key]


def train_few(
    X: Float[Tensor, "case dim"], *, sigma: float, weight_decay: float, seed: int,
    optimizer: str = "adam", rate: float = 0.02, steps: int = 800,
) -> ReluDae:  # fmt: skip
    """Train a network on a few samples, with many noise draws a step."""
    start = build_random_dae(X.shape[1], FEW_UNITS, scale=0.05, seed=seed)
    states = train_relu_dae(
        start, X, sigma=sigma, weight_decay=weight_decay, steps=steps, rate=rate,
        optimizer=optimizer, batch=160, seed=seed,
    )  # fmt: skip
    return fit_relu_dae(states)


def train_many(
    X: Float[Tensor, "case dim"], *, sigma: float, weight_decay: float, seed: int,
    start: ReluDae | None = None, steps: int = 1500,
) -> ReluDae:  # fmt: skip
    """Train a network on many samples, in minibatches."""
    start = start or build_random_dae(X.shape[1], MANY_UNITS, scale=0.05, seed=seed)
    states = train_relu_dae(
        start, X, sigma=sigma, weight_decay=weight_decay, steps=steps, batch=256, seed=seed
    )
    return fit_relu_dae(states)


def compare_loss(dae: ReluDae, X: Float[Tensor, "case dim"], *, sigma: float) -> float:
    """Return the true ReLU loss of a network over that of Eq. 9, in float64."""
    X = X.double()
    W = memorizing_weights(X, sigma=sigma, weight_decay=DECAY["memorizing"], num_units=len(X)).W
    trained, closed = (
        relu_loss(net, X, sigma=sigma, weight_decay=DECAY["memorizing"]).detach()
        for net in (build_relu_dae(dae.W1.double(), dae.W2.double()), build_relu_dae(W))
    )
    return float(trained / closed)


def count_units(dae: ReluDae, x: Float[Tensor, "case dim"]) -> float:
    """Return the median number of units that share a clean sample's energy."""
    h = dae.representation(x)
    counts = h.square().sum(1) ** 2 / h.pow(4).sum(1).clamp_min(torch.finfo(h.dtype).tiny)
    return float(counts.median())
