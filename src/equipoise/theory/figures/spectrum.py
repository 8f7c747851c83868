"""App. B.3: Jacobian spectra and top vectors, ReLU-DAEs and a real denoiser."""

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.theory.figures.network import Networks
from equipoise.theory.figures.part import Part
from equipoise.theory.jacobian import JacobianSpectrum, measure_jacobian
from equipoise.theory.regime import STORED, Regime
from equipoise.theory.relu_dae import ReluDaeDenoiser


@dataclass(frozen=True)
class Subject:
    """A real denoiser, with samples it memorized and samples it never saw, in data units."""

    name: str
    denoiser: Denoiser
    memorized: Float[Tensor, "case ..."]
    held_out: Float[Tensor, "other ..."]
    sigma: float


def build_spectrum(nets: Networks, subject: Subject) -> Part:
    """App. B.3: spectra and top vectors at memorized and at new samples."""
    few, many, hybrid = (nets.regimes[name] for name in ("memorizing", "generalizing", "hybrid"))
    looked = [
        _observe(nets, few, 1.0, "memorized", few.stored),
        _observe(nets, many, 1.0, "new", many.held_out[:STORED]),
        _observe(nets, hybrid, 5.0, "memorized", hybrid.stored[:STORED]),
        _observe(nets, hybrid, 5.0, "new", hybrid.held_out[:STORED]),
        Sight(subject.name, subject.denoiser, subject.sigma, "memorized", subject.memorized),
        Sight(subject.name, subject.denoiser, subject.sigma, "new", subject.held_out),
    ]
    part, rows = Part(), []
    for row, sight in enumerate(looked):
        found = [_differentiate(sight, x) for x in sight.samples]
        rows.append(
            {
                "model": sight.name, "side": sight.side, "sigma": sight.sigma,
                "cosines": [spectrum.cosine for spectrum in found],
                "effective_ranks": [spectrum.effective_rank for spectrum in found],
            }
        )  # fmt: skip
        part.keep(f"{row}-samples", sight.samples.flatten(1))
        part.keep(f"{row}-values", torch.stack([f.singular_values for f in found]))
        part.keep(f"{row}-vectors", torch.stack([f.top_vector.flatten() for f in found]))
    part.results = {"rows": rows}
    return part


@dataclass(frozen=True)
class Sight:
    """A denoiser and the samples at which its Jacobian is looked at."""

    name: str
    denoiser: Denoiser
    sigma: float
    side: str
    samples: Float[Tensor, "case ..."]


def _observe(nets: Networks, regime: Regime, sigma: float, side: str, samples: Tensor) -> Sight:
    dae = nets.get(regime.name, sigma)
    denoiser = ReluDaeDenoiser(dae, (dae.W1.shape[0],), float(regime.X.std()))
    return Sight(f"{regime.name} ReLU-DAE", denoiser, sigma, side, samples)


def _differentiate(sight: Sight, x: Tensor) -> JacobianSpectrum:
    count = min(12, prod(sight.denoiser.sample_shape) - 1)
    return measure_jacobian(sight.denoiser, x, sigma=sight.sigma, count=count)
