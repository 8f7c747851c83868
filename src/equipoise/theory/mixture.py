r"""A mixture of Gaussians and its exact denoiser, and the exact denoiser of a training set.

    x0 ~ sum_k rho_k N(mu_k, Sigma_k),      S_k = mu_k mu_k^T + Sigma_k      (Eq. 4)

The least-squares denoiser is the posterior mean. With `C_k = Sigma_k + sigma^2 I`,

    E[x0 | x] = sum_k w_k(x) (mu_k + Sigma_k C_k^{-1} (x - mu_k)),
    w_k(x) = softmax_k(log rho_k - log det(C_k) / 2 - (x - mu_k)^T C_k^{-1} (x - mu_k) / 2)

For a finite training set the same mean is a softmax over the samples (Eq. 3): it memorizes by
definition, and is `IdealDenoiser` of the room of denoisers.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Eq. 3 and 4 | arXiv 2512.20963
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers import IdealDenoiser
from equipoise.denoisers.data_units import DataUnits
from equipoise.errors import BadInputError
from equipoise.theory.requirement import check_samples

TOLERANCE = 1e-6
"""Of the sum of the weights, and of symmetry and sign of a covariance, relative."""


def empirical_denoiser(X: Float[Tensor, "case dim"]) -> IdealDenoiser:
    """Return the denoiser that is optimal for the samples themselves (Eq. 3).

    Raises:
        BadInputError: for anything but a matrix of samples.
        NonFiniteError: for NaN or infinity.
    """
    check_samples(X)
    return IdealDenoiser(X)


@dataclass(frozen=True)
class GaussianMixture(DataUnits):
    """A mixture of Gaussians; also a `Denoiser`, the exact one of its samples.

    Args:
        weights: `rho_k`, positive, of sum 1.
        means: `mu_k`, one a row.
        covariances: `Sigma_k`, symmetric and not negative; may be singular.

    Raises:
        BadInputError: when they do not fit each other, or are no weights or covariances.
        NonFiniteError: for NaN or infinity.
    """

    weights: Float[Tensor, " _mode"]
    means: Float[Tensor, "_mode _dim"]
    covariances: Float[Tensor, "_mode _dim _dim"]
    default_sites: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        check_samples(self.means, what="The matrix of means")
        modes, dim = self.means.shape
        if self.weights.shape != (modes,) or self.covariances.shape != (modes, dim, dim):
            raise BadInputError(
                f"A mixture got weights of shape {tuple(self.weights.shape)}, means of "
                f"{tuple(self.means.shape)} and covariances of {tuple(self.covariances.shape)}. "
                "They are (mode,), (mode, dim) and (mode, dim, dim)."
            )
        check_samples(self.weights[:, None], what="The list of weights")
        check_samples(self.covariances.flatten(1), what="The stack of covariances")
        if not bool((self.weights > 0).all()) or abs(float(self.weights.sum()) - 1) > TOLERANCE:
            raise BadInputError(
                f"A mixture got weights {self.weights.tolist()}. They must be positive and sum "
                "to 1; divide them by their sum."
            )
        _check_covariances(self.covariances)

    @property
    def second_moments(self) -> Float[Tensor, "mode dim dim"]:
        """`S_k = mu_k mu_k^T + Sigma_k`, about the origin."""
        return self.means[:, :, None] * self.means[:, None, :] + self.covariances

    def sample_clusters(
        self, counts: list[int], generator: torch.Generator
    ) -> list[Float[Tensor, "_ dim"]]:
        """Draw so many samples from each mode, one tensor a mode."""
        if len(counts) != len(self.means) or min(counts) < 0:
            raise BadInputError(
                f"A mixture of {len(self.means)} modes got counts {counts}. Pass one number a "
                "mode, 0 or more."
            )
        roots = [_root(covariance) for covariance in self.covariances]
        return [
            mean + torch.randn(n, len(mean), generator=generator, dtype=mean.dtype) @ root
            for n, mean, root in zip(counts, self.means, roots, strict=True)
        ]

    def denoise(
        self,
        x: Float[Tensor, "batch dim"],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Return `E[x0 | x]`, through the eigenvectors of each covariance.

        Raises:
            BadInputError: at noise level 0, if a covariance is singular: no density is left.
        """
        eigenvalues, vectors = torch.linalg.eigh(self.covariances)  # mode dim; mode dim dim
        eigenvalues = eigenvalues.clamp_min(0)  # rounding
        centred = x[None] - self.means[:, None]  # mode batch dim
        coordinates = centred @ vectors
        total = eigenvalues[:, None] + sigma[None, :, None] ** 2
        if not bool((total > 0).all()):
            raise BadInputError(
                f"A mixture with a singular covariance got a noise level of {float(sigma.min())}. "
                "It has a density with noise only; pass a positive sigma."
            )
        log_density = -0.5 * (coordinates**2 / total + total.log()).sum(-1)  # mode batch
        w = torch.softmax(self.weights.log()[:, None] + log_density, dim=0)
        shrunk = coordinates * (eigenvalues[:, None] / total)
        means = shrunk @ vectors.transpose(1, 2) + self.means[:, None]
        return (w[..., None] * means).sum(0)

    @property
    def network(self) -> nn.Module:
        """Weights, means and covariances, as a module without sites."""
        module = nn.Module()
        for name in ("weights", "means", "covariances"):
            module.register_buffer(name, getattr(self, name))
        return module

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(dim,)`."""
        return tuple(self.means.shape[1:])

    @property
    def data_std(self) -> float:
        """Root of the mean variance of the coordinates."""
        mean = self.weights @ self.means
        second = (self.weights[:, None] * self.second_moments.diagonal(dim1=1, dim2=2)).sum(0)
        return float((second - mean**2).mean().sqrt())


def _root(covariance: Float[Tensor, "dim dim"]) -> Float[Tensor, "dim dim"]:
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    return (vectors * eigenvalues.clamp_min(0).sqrt()) @ vectors.T


def _check_covariances(covariances: Float[Tensor, "mode dim dim"]) -> None:
    for k, covariance in enumerate(covariances):
        room = TOLERANCE * float(covariance.abs().max())
        skew = float((covariance - covariance.T).abs().max())
        smallest = float(torch.linalg.eigvalsh(covariance)[0])
        if skew > room or smallest < -room:
            raise BadInputError(
                f"Covariance {k} is not one: its asymmetry is {skew:.3g}, its smallest "
                f"eigenvalue {smallest:.3g}. It must be symmetric with no negative eigenvalue."
            )
