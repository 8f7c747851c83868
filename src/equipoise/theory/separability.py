r"""How far apart the clusters of a data set lie: the assumption of Theorem 3.1, as numbers.

With cluster means `m_k`, cluster k of sample x (Def. 3.1):

    alpha = max_x ||x - m_k|| / ||m_k||          beta = max_{k != l} cos(m_k, m_l)

The theorem needs `beta < 0`. Its residual falls with `(margin / sigma)^2`, where the margin is the
least distance that noise must carry a sample to switch a unit that points along a mean:

    margin = min_x min( x . m_k / ||m_k||,  min_{l != k} -x . m_l / ||m_l|| )

It is in data units, and negative where a clean sample already is on the wrong side.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Definition 3.1 | arXiv 2512.20963
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.theory.requirement import check_clusters, check_nonzero, check_samples


@dataclass(frozen=True)
class Separability:
    """The constants of Definition 3.1."""

    alpha: float
    """Largest distance of a sample to its cluster mean, relative to the norm of the mean."""
    beta: float
    """Largest cosine between two cluster means; -1 for one cluster, where there is no pair."""
    margin: float
    """Least distance to a switch of a unit along a mean, in data units; may be negative."""

    @property
    def holds(self) -> bool:
        """Whether Theorem 3.1 applies: `beta < 0`, and every sample on the right side."""
        return self.beta < 0 < self.margin


def separability(X: Float[Tensor, "case dim"] | Sequence[Float[Tensor, "_ dim"]]) -> Separability:
    """Measure the separability of a data set (Def. 3.1).

    Args:
        X: Samples, one a row, each a cluster of its own; or one such tensor a cluster.

    Raises:
        BadInputError: for no samples, differing dims, or a cluster whose mean is zero, or no
            more than rounding.
        NonFiniteError: for NaN or infinity.
    """
    if isinstance(X, Tensor):
        check_samples(X)
        clusters = list(X.split(1))
    else:
        clusters = list(X)
        check_clusters(clusters)
    means = torch.stack([_average(X_k) for X_k in clusters])
    check_nonzero(means, what="The mean of cluster")
    spread = [
        (X_k - m).norm(dim=1).max() / m.norm() for X_k, m in zip(clusters, means, strict=True)
    ]
    directions = normalize(means, dim=1)
    cosines = (directions @ directions.T).fill_diagonal_(-1)
    return Separability(
        alpha=float(torch.stack(spread).max()),
        beta=float(cosines.max()),
        margin=_margin(clusters, directions),
    )


def _average(X_k: Float[Tensor, "case dim"]) -> Float[Tensor, " dim"]:
    """Return the mean; zero where nothing is left of it but rounding."""
    mean = X_k.mean(0)
    rounding = 4 * len(X_k) ** 0.5 * torch.finfo(X_k.dtype).eps * X_k.norm(dim=1).max()
    return mean if mean.norm() > rounding else torch.zeros_like(mean)


def _margin(
    clusters: Sequence[Float[Tensor, "_ dim"]], directions: Float[Tensor, "cluster dim"]
) -> float:
    least = []
    for k, X_k in enumerate(clusters):
        heights = -(X_k @ directions.T)  # case cluster
        heights[:, k] *= -1
        least.append(heights.min())
    return float(torch.stack(least).min())
