r"""Claims about the Jacobian at memorized and generalized samples: App. B.3."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.theory.claims.claim import Claim
from equipoise.theory.claims.example import build_mixture, draw_normal
from equipoise.theory.claims.hybrid import DUPLICATES, LEVEL, MODES, build_hybrid
from equipoise.theory.jacobian import measure_jacobian
from equipoise.theory.mixture import GaussianMixture
from equipoise.theory.relu_dae import ReluDaeDenoiser


@dataclass(frozen=True)
class Points:
    """A denoiser and where to look at its Jacobian."""

    denoiser: Denoiser
    x: Float[Tensor, "case dim"]
    sigma: float


def build_memorized() -> Points:
    """The duplicates of the trained hybrid network."""
    case = build_hybrid()
    x = torch.stack([X_k[0] for X_k in case.clusters[:DUPLICATES]])
    return Points(ReluDaeDenoiser(case.daes[0], (x.shape[1],), 1.0), x, LEVEL["sigma"])


def measure_top(case: Points) -> float:
    """Return the cosine of the top singular vector to the sample, worst sample."""
    found = [measure_jacobian(case.denoiser, x, sigma=case.sigma, count=5) for x in case.x]
    return min(spectrum.cosine for spectrum in found)


@dataclass(frozen=True)
class Contrast:
    """One denoiser at memorized and at generalized samples."""

    memorized: Points
    generalized: Points


def build_contrast() -> Contrast:
    """The duplicates of the trained hybrid network, and ten fresh samples of its modes."""
    memorized, fresh = build_memorized(), build_hybrid().fresh
    x = fresh[:: len(fresh) // (5 * MODES)]
    return Contrast(memorized, Points(memorized.denoiser, x, memorized.sigma))


def measure_decay(case: Contrast) -> float:
    """Return how many times the effective rank is higher at the generalized samples; medians."""
    memorized, generalized = (
        torch.tensor(
            [
                measure_jacobian(points.denoiser, x, sigma=points.sigma, count=20).effective_rank
                for x in points.x
            ]
        ).median()
        for points in (case.memorized, case.generalized)
    )
    return float(generalized / memorized)


@dataclass(frozen=True)
class Twin:
    """The denoiser whose Jacobian is measured, and the one whose matrix is built in full."""

    denoiser: Denoiser
    dense: Denoiser
    x: Float[Tensor, " dim"]
    sigma: float


def build_twin() -> Twin:
    """A mixture between its modes, where the Jacobian is neither symmetric-looking nor small."""
    mixture: GaussianMixture = build_mixture(3, 15, spread=1.0, directions=4)
    return Twin(mixture, mixture, draw_normal(15, seed=4), 1.2)


def measure_twin(case: Twin) -> float:
    """Compare the singular values with those of the dense Jacobian; largest relative error."""
    level = case.x.new_full((1,), case.sigma)
    J = torch.autograd.functional.jacobian(lambda x: case.dense.denoise(x[None], level)[0], case.x)
    assert isinstance(J, Tensor)
    expected = torch.linalg.svdvals(J)[:8]
    found = measure_jacobian(case.denoiser, case.x, sigma=case.sigma, count=8).singular_values
    return float((found - expected).abs().max() / expected[0])


CLAIMS = (
    Claim(
        "Jacobian without its matrix", "App. B.3, method",
        "Relative difference of eight singular values to those of the dense Jacobian.",
        1e-8, build_twin, measure_twin,
    ),
    Claim(
        "Jacobian at a memorized sample", "App. B.3, vector",
        "Cosine of the top singular vector to the sample, worst duplicate of a trained hybrid "
        "network.",
        0.99, build_memorized, measure_top, at_least=True,
    ),
    Claim(
        "Jacobian at a generalized sample", "App. B.3, spectrum",
        "Effective rank over 20 singular values at ten fresh samples, over that at the "
        "duplicates, in one trained network; medians. A mode has 9 directions, a duplicate one.",
        3.0, build_contrast, measure_decay, at_least=True,
    ),
)  # fmt: skip
