"""One cell of a phase diagram: a training set, a network trained on it, and what it stored."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.theory.closed_forms import generalizing_weights
from equipoise.theory.figures.columns import drop_short
from equipoise.theory.mixture import GaussianMixture
from equipoise.theory.objective import sampled_loss
from equipoise.theory.phase.allocation import list_gains
from equipoise.theory.phase.world import TrainingSet, draw_duplicated, draw_plain
from equipoise.theory.relu_dae import ReluDae, build_relu_dae
from equipoise.theory.training import build_random_dae, fit_relu_dae, train_relu_dae

SIGMA, DECAY = 0.2, 0.1
"""Noise level, in data units, and `lambda`, which makes the trained network choose few columns."""
STEPS, BATCH, RATE = 400, 128, 0.05
COPY_COSINE = 0.98
"""A column is a stored sample from this cosine on. Two samples of one mode span some 46 degrees,
so that the mean of the mode, or two orthogonal columns between them, stay below .95."""
LOSS_DRAWS = 4096
"""Noise draws, over all samples, that a loss is measured with."""

Diagram = Literal["units", "copies"]


@dataclass(frozen=True)
class Cell:
    """Where in which diagram; `units` is p, `images` is n."""

    diagram: Diagram
    units: int
    images: int
    copies: int
    """How often each of a few samples is given besides; 0 in the diagram of units."""


def measure_cell(cell: Cell, mixture: GaussianMixture, *, seed: int) -> dict[str, Any]:
    """Draw a training set, train a network on it and compare what it stored with the theory.

    Returns:
        `stored` and `predicted` (shares of the samples that may become columns), `std_stored` and
        `std_fresh` (mean population standard deviation over units of the clean representation),
        `loss` (Eq. 6, sampled) and `closed_loss` (of the allocation, active units fixed); where
        fewer were stored than predicted, `kept`, the share that a second training stores which
        starts at the allocation's weights; else None.
    """
    training = draw_training(cell, mixture, seed=seed)
    start = build_random_dae(training.X.shape[1], cell.units, scale=0.05, seed=seed)
    dae = train_cell(start, training, seed=seed)
    stored = measure_stored(dae.W1, training.stored)
    predicted = predict_stored(training, cell.units)
    kept = None
    if stored < predicted:
        again = train_cell(build_allocated(training, cell.units), training, seed=seed)
        kept = measure_stored(again.W1, training.stored)
    return {
        "stored": stored,
        "predicted": predicted,
        "kept": kept,
        "std_stored": _measure_std(dae, training.stored),
        "std_fresh": _measure_std(dae, training.fresh),
        "loss": _measure_loss(dae, training.X, seed),
        "closed_loss": predict_loss(training, cell.units),
    }


def draw_training(cell: Cell, mixture: GaussianMixture, *, seed: int) -> TrainingSet:
    """Draw the training set of a cell."""
    if cell.diagram == "units":
        return draw_plain(mixture, cell.images, seed=seed)
    return draw_duplicated(mixture, cell.images, cell.copies, seed=seed)


def train_cell(start: ReluDae, training: TrainingSet, *, seed: int) -> ReluDae:
    """Train a network by Adam, in minibatches."""
    states = train_relu_dae(
        start, training.X, sigma=SIGMA, weight_decay=DECAY, steps=STEPS, rate=RATE, batch=BATCH,
        seed=seed,
    )  # fmt: skip
    return fit_relu_dae(states)


def build_allocated(training: TrainingSet, units: int) -> ReluDae:
    """Build the network of the allocation: the block of each cluster by Eq. 8."""
    gains = list_gains(training.clusters, sigma=SIGMA, weight_decay=DECAY)
    ranks = Counter(k for _, k in gains[:units])
    n = len(training.X)
    blocks = []
    for k, rank in ranks.items():
        X_k = training.clusters[k]
        decay = DECAY * n / len(X_k)  # a cluster by itself has n_k samples where Eq. 8 has n
        blocks.append(generalizing_weights([X_k], sigma=SIGMA, weight_decay=decay, rank=rank).W)
    return build_relu_dae(torch.cat(blocks, dim=1))


def measure_stored(W: Float[Tensor, "dim unit"], stored: Float[Tensor, "stored dim"]) -> float:
    """Return the share of samples that some column points along; short columns do not count."""
    cosine = normalize(stored, dim=1) @ normalize(drop_short(W), dim=0)
    return float((cosine.max(1).values > COPY_COSINE).float().mean())


def predict_stored(training: TrainingSet, units: int) -> float:
    """Return the share of samples that are alone in a cluster with one of the largest gains."""
    gains = list_gains(training.clusters, sigma=SIGMA, weight_decay=DECAY)
    kept = {k for _, k in gains[:units]}
    return sum(k in kept for k in training.alone) / len(training.alone)


def predict_loss(training: TrainingSet, units: int) -> float:
    """Return Eq. 6 of the allocation: what is left of the samples' energy by the gains kept."""
    gains = list_gains(training.clusters, sigma=SIGMA, weight_decay=DECAY)
    X = training.X
    return float(X.square().sum() - sum(gain for gain, _ in gains[:units])) / len(X)


def _measure_std(dae: ReluDae, x: Float[Tensor, "case dim"]) -> float:
    return float(dae.representation(x).std(1, correction=0).mean())


def _measure_loss(dae: ReluDae, X: Float[Tensor, "case dim"], seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    draws = X.repeat(-(-LOSS_DRAWS // len(X)), 1)
    return float(sampled_loss(dae, draws, generator, sigma=SIGMA, weight_decay=DECAY))
