r"""Data on which the theorem's assumptions hold, and one measurement that many claims share.

Cluster means are the corners of a regular simplex, whose pairwise cosines are -1/(count - 1), the
most negative that so many directions can have. Spread within a cluster lies in directions of its
own, orthogonal to every mean.
"""

from collections.abc import Callable
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.theory.mixture import GaussianMixture
from equipoise.theory.relu_dae import ReluDae, build_relu_dae


class Level(TypedDict):
    """What a loss is measured at."""

    sigma: float
    weight_decay: float


def build_simplex(count: int, dim: int, *, radius: float) -> Float[Tensor, "corner dim"]:
    """Return the corners of a regular simplex, in the first `count` axes, in float64."""
    corners = torch.eye(count, dim, dtype=torch.float64)
    return radius * normalize(corners - corners.mean(0), dim=1)


def build_samples(count: int, dim: int) -> Float[Tensor, "case dim"]:
    """Return samples of unlike norms around 4 at obtuse angles."""
    lengths = torch.linspace(0.9, 1.1, count, dtype=torch.float64)
    return build_simplex(count, dim, radius=4.0) * lengths[:, None]


def build_mixture(
    modes: int, dim: int, *, spread: float, directions: int, radius: float = 4.0
) -> GaussianMixture:
    """Return a mixture on a simplex; mode k spreads in `directions` axes of its own."""
    covariances = torch.zeros((modes, dim, dim), dtype=torch.float64)
    variances = (spread * torch.linspace(1, 0.6, directions, dtype=torch.float64)) ** 2
    for k in range(modes):
        axes = modes + k * directions + torch.arange(directions)
        covariances[k, axes, axes] = variances
    weights = torch.full((modes,), 1 / modes, dtype=torch.float64)
    return GaussianMixture(weights, build_simplex(modes, dim, radius=radius), covariances)


def draw_normal(*shape: int, seed: int) -> Float[Tensor, "..."]:
    """Draw standard normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def measure_gradient(
    W: Float[Tensor, "dim unit"], loss: Callable[[ReluDae], Float[Tensor, ""]]
) -> float:
    """Return the gradient's norm at `W1 = W2 = W`, relative to that at `W / 2`."""

    def norm(V: Tensor) -> float:
        dae = build_relu_dae(V).requires_grad_(True)
        gradients = torch.autograd.grad(loss(dae), list(dae.parameters()))
        return float(torch.stack([g.norm() for g in gradients]).norm())

    return norm(W) / norm(W / 2)


def count_effective(h: Float[Tensor, "case unit"]) -> Float[Tensor, " case"]:
    """Count the units that share the energy of each representation: `(sum h^2)^2 / sum h^4`."""
    return h.square().sum(1) ** 2 / h.pow(4).sum(1).clamp_min(torch.finfo(h.dtype).tiny)
