r"""Claims about sampling with one denoiser a noise level (Fig. 2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.theory.claims.claim import Claim
from equipoise.theory.claims.example import build_mixture, build_samples, draw_normal
from equipoise.theory.closed_forms import generalizing_weights, memorizing_weights
from equipoise.theory.mixture import empirical_denoiser
from equipoise.theory.relu_dae import build_relu_dae
from equipoise.theory.stack import DaeStack, measure_nearest, sample_ddim, space_sigmas

SIGMAS = space_sigmas(20.0, 1e-6, count=200)


@dataclass(frozen=True)
class Sampling:
    """A denoiser to sample with, its training samples, and fresh ones of the same source."""

    denoiser: Denoiser
    training: Float[Tensor, "case dim"]
    fresh: Float[Tensor, "other dim"]

    def sample(self) -> Float[Tensor, "sample dim"]:
        """Draw 200 samples by DDIM."""
        noise = draw_normal(200, self.training.shape[1], seed=1)
        *_, x = sample_ddim(self.denoiser, noise, SIGMAS)
        return x


def build_ideal() -> Sampling:
    """The empirical denoiser of five samples."""
    X = build_samples(5, 16)
    return Sampling(empirical_denoiser(X), X, X)


def build_memorizing() -> Sampling:
    """A stack of memorizing weights of five samples, from sigma 20 to 1e-6."""
    X = build_samples(5, 16)
    daes = tuple(
        build_relu_dae(memorizing_weights(X, sigma=sigma, weight_decay=0.0, num_units=5).W)
        for sigma in SIGMAS
    )
    return Sampling(DaeStack(SIGMAS, daes, 1.0), X, X)


def build_generalizing() -> Sampling:
    """A stack of generalizing blocks of 600 samples of three modes."""
    mixture = build_mixture(3, 27, spread=0.8, directions=8)
    generator = torch.Generator().manual_seed(2)
    clusters = mixture.sample_clusters([200] * 3, generator)
    daes = tuple(
        build_relu_dae(generalizing_weights(clusters, sigma=s, weight_decay=0.0, rank=9).W)
        for s in SIGMAS
    )
    fresh = torch.cat(mixture.sample_clusters([70] * 3, generator))
    return Sampling(DaeStack(SIGMAS, daes, 1.0), torch.cat(clusters), fresh)


def measure_points(case: Sampling) -> float:
    """Return the share of samples within a thousandth of a training sample, length and all."""
    nearest = measure_nearest(case.sample(), case.training)
    return float((nearest.distance < 1e-3).double().mean())


def measure_rays(case: Sampling) -> float:
    """Return the share of samples within a thousandth of a training sample's direction."""
    nearest = measure_nearest(case.sample(), case.training)
    return float((nearest.sine < 1e-3).double().mean())


def measure_novelty(case: Sampling) -> float:
    """Return the median sine to the nearest training sample, over that of fresh samples."""
    sampled = measure_nearest(case.sample(), case.training).sine.median()
    return float(sampled / measure_nearest(case.fresh, case.training).sine.median())


CLAIMS = (
    Claim(
        "sampling with the empirical denoiser", "Eq. 3, sampled",
        "Share of 200 DDIM samples within a thousandth of a training sample.",
        0.99, build_ideal, measure_points, at_least=True,
    ),
    Claim(
        "memorizing stack returns training samples", "Fig. 2, memorizing",
        "Share of 200 DDIM samples within a thousandth of the direction of a training sample; "
        "their length is free, as a network without biases cannot know it.",
        0.99, build_memorizing, measure_rays, at_least=True,
    ),
    Claim(
        "generalizing stack returns new samples", "Fig. 2, generalizing",
        "Median sine of the angle to the nearest training sample, over that of fresh samples of "
        "the mixture: 0 for copies, 1 for samples as new as fresh ones.",
        0.5, build_generalizing, measure_novelty, at_least=True,
    ),
)  # fmt: skip
