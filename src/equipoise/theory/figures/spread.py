"""Figs. 4 and 5: std of the representation, duplicates against held-out images."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.theory.contrast import measure_contrast
from equipoise.theory.figures.network import Networks
from equipoise.theory.figures.part import SIGMAS, Part
from equipoise.theory.relu_dae import ReluDae

LOOKS = 8
"""Noise draws an image is looked at with."""


def build_spread(nets: Networks) -> Part:
    """Figs. 4 and 5: the std of noisy representations, duplicates against held-out images."""
    part, rows = Part(), []
    regime = nets.regimes["hybrid"]
    for sigma in SIGMAS:
        dae = nets.get(regime.name, sigma)
        generator = torch.Generator().manual_seed(nets.seed)
        memorized, others = (
            _look(dae, x0, sigma, generator) for x0 in (regime.stored, regime.held_out[:1000])
        )
        spread, scaled = {}, {}
        for name, h in (("memorized", memorized), ("others", others)):  # look case unit
            std = h.std(2, correction=0)
            norm = h.norm(dim=2).clamp_min(torch.finfo(h.dtype).tiny)  # all units silent: zero
            spread[name], scaled[name] = std.mean(0), (std / norm).mean(0)
            part.keep(f"{name}-{sigma:g}", spread[name])
            part.keep(f"profile-{name}-{sigma:g}", h[0, 0])
        rows.append({"sigma": sigma, "std": _separate(spread), "std_over_norm": _separate(scaled)})
    part.keep("picture-memorized", regime.stored[0])
    part.keep("picture-others", regime.held_out[0])
    part.results = {"rows": rows}
    return part


def _separate(scores: dict[str, Tensor]) -> dict[str, Any]:
    memorized, others = scores["memorized"].numpy(), scores["others"].numpy()
    return measure_contrast(memorized, others, groups=range(len(memorized)))


def _look(
    dae: ReluDae, x0: Float[Tensor, "case dim"], sigma: float, generator: torch.Generator
) -> Float[Tensor, "look case unit"]:
    """Return the representations of several noisy versions of each image."""
    noise = torch.randn((LOOKS, *x0.shape), generator=generator)
    return dae.representation((x0 + sigma * noise).flatten(0, 1)).reshape(LOOKS, len(x0), -1)
