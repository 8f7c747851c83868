r"""Denoisers in closed form: the two poles of truth.

`IdealDenoiser` memorizes by definition: it is the optimum on a finite training set.
`GaussianDenoiser` cannot memorize: it knows a mean and a covariance only.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space (Zhang et al.,
    2026), Eq. 3 | arXiv 2512.20963
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.data_units import DataUnits
from equipoise.denoisers.edm import per_sample


class _Buffers(nn.Module):
    """A module that holds tensors only, so that closed forms have weights to fingerprint."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


@dataclass(frozen=True)
class IdealDenoiser(DataUnits):
    """The empirical Bayes optimum: a softmax-weighted mean of the training points (Eq. 3).

    Args:
        points: Training points; all sampling ends in one of them.
    """

    points: Float[Tensor, "point ..."]
    default_sites: tuple[str, ...] = field(default=(), init=False)

    @property
    def network(self) -> nn.Module:
        """The points, as a module without sites."""
        return _Buffers(points=self.points)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return tuple(self.points.shape[1:])

    @property
    def data_std(self) -> float:
        """Standard deviation of all coordinates of all points."""
        return float(self.points.std(correction=0))

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Return `sum_i softmax_i(-||x - x_i||^2 / (2 sigma^2)) x_i`."""
        flat = self.points.flatten(1).to(x.dtype)
        # not cdist, which cannot be differentiated twice; a row at a time for memory
        squared = torch.stack([(flat - row).square().sum(1) for row in x.flatten(1)])
        weights = torch.softmax(-squared / (2 * sigma[:, None] ** 2), dim=1)
        return (weights @ flat).reshape(x.shape)


@dataclass(frozen=True)
class GaussianDenoiser(DataUnits):
    """The optimum for one Gaussian: `mean + cov (cov + sigma^2 I)^-1 (x - mean)`.

    Args:
        mean: Mean of the data, in the shape of a sample.
        covariance: Covariance of the flattened sample.
    """

    mean: Float[Tensor, "..."]
    covariance: Float[Tensor, "dim dim"]
    default_sites: tuple[str, ...] = field(default=(), init=False)

    @property
    def network(self) -> nn.Module:
        """Mean and covariance, as a module without sites."""
        return _Buffers(mean=self.mean, covariance=self.covariance)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the mean."""
        return tuple(self.mean.shape)

    @property
    def data_std(self) -> float:
        """Root of the mean variance of the coordinates."""
        return float(self.covariance.diagonal().mean().sqrt())

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Return the posterior mean, through the eigenvectors of the covariance."""
        eigenvalues, vectors = torch.linalg.eigh(self.covariance.to(x.dtype))
        mean = self.mean.to(x.dtype).flatten()
        coordinates = (x.flatten(1) - mean) @ vectors
        shrunk = coordinates * eigenvalues / (eigenvalues + per_sample(sigma, coordinates) ** 2)
        return (shrunk @ vectors.T + mean).reshape(x.shape)
