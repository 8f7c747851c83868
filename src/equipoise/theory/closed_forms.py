r"""Weights of a ReLU-DAE that minimize its denoising loss, in closed form.

    (1/n) sum_i E_eps ||f(x_i + sigma eps) - x_i||^2 + lambda (||W1||_F^2 + ||W2||_F^2)   (Eq. 6)

Here **rows are samples**, `X: (case, dim)`; the paper writes them as columns. The weights are
as in the paper, `W: (dim, unit)`, with `W1 = W2 = W` (Theorem 3.1). `n` counts all samples,
`n_k` those of cluster k. A block of rank p_k keeps the top eigenpairs of its cluster's
`X_k^T X_k = U_k Lambda_k U_k^T`, shrunk by `m = (Lambda - n lambda) / (Lambda + n_k sigma^2)`:

    W_k = U_k diag(m)^(1/2) O_k^T      (Eq. 8)

`O_k` is free but for one thing: the block's units must be active on its cluster. Here it sends
the mean of the cluster to a multiple of (1, ..., 1). The losses are in `objective.py` and
`generalization.py`.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Theorem 3.1, Cor. 3.2 to 3.4 | arXiv 2512.20963
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.errors import BadInputError
from equipoise.theory.requirement import (
    check_clusters,
    check_distinct,
    check_level,
    check_nonzero,
    check_samples,
)

MIN_ACTIVE_SHARE = 0.75
"""Below this share of active units, Eq. 8 no longer describes the block."""


@dataclass(frozen=True)
class ClosedFormWeights:
    """Weights `W1 = W2 = W`, and how far the activity is from what Theorem 3.1 assumes.

    Args:
        W: One unit a column, one block of columns a cluster; zero columns may follow.
        activity: Entry `(k, l)` is the share of (unit of block k, clean sample of cluster l)
            pairs that are active. The theorem assumes the identity matrix.
    """

    W: Float[Tensor, "dim unit"]
    activity: Float[Tensor, "cluster cluster"]

    @property
    def active_share(self) -> float:
        """Share of active units of a block on its own cluster, of the worst cluster."""
        return self.activity.diagonal().min().item()

    @property
    def leaked_share(self) -> float:
        """Share of active units of a block on another cluster, of the worst pair."""
        return self.activity.clone().fill_diagonal_(0).max().item()


def memorizing_weights(
    X: Float[Tensor, "case dim"], *, sigma: float, weight_decay: float, num_units: int
) -> ClosedFormWeights:
    """Return the weights that store every sample in a unit of its own.

    W = (r_1 x_1, ..., r_n x_n, 0, ..., 0)    (Eq. 9)

    They are stationary where `leaked_share` is 0: no two samples at an acute angle.

    Args:
        X: The training samples, one a row.
        sigma: Standard deviation of the noise, in data units; not negative.
        weight_decay: `lambda` of Eq. 6; not negative.
        num_units: `p`, at least the number of samples.

    Raises:
        BadInputError: if `num_units` is below n, `n lambda` not below every `||x_i||^2`, or a
            sample is zero or given twice.
        NonFiniteError: for NaN or infinity.
    """
    check_level(sigma, weight_decay)
    check_samples(X)
    check_nonzero(X, what="Sample")
    check_distinct(X)
    n = len(X)
    if num_units < n:
        raise BadInputError(
            f"memorizing_weights got num_units={num_units} for {n} samples. Every sample needs "
            f"a unit; pass num_units={n} or more."
        )
    energy = X.square().sum(1)
    _check_eigenvalues(energy, n * weight_decay, "a sample's ||x||^2")
    # Eq. 9, divided by ||x_i||^2 in numerator and denominator: no fourth power to overflow
    r = ((1 - n * weight_decay / energy) / (energy + sigma**2)).sqrt()
    W = torch.cat([(r[:, None] * X).T, X.new_zeros(X.shape[1], num_units - n)], dim=1)
    return ClosedFormWeights(W, (W[:, :n].T @ X.T > 0).to(X.dtype))


def generalizing_weights(
    clusters: Sequence[Float[Tensor, "_ dim"]], *, sigma: float, weight_decay: float, rank: int
) -> ClosedFormWeights:
    """Return the weights whose blocks span the principal subspaces of the clusters.

    W_k = U_k (I + n_k sigma^2 Lambda_k^-1)^(-1/2) (I - n lambda Lambda_k^-1)^(1/2) O_k^T   (Eq. 8)

    They are stationary where `active_share` is 1 and `leaked_share` is 0.

    Args:
        clusters: The training samples of each cluster, one a row; clusters may differ in size.
        sigma: Standard deviation of the noise, in data units; not negative.
        weight_decay: `lambda` of Eq. 6; not negative.
        rank: `p_k`, the eigenpairs kept, and so the units, of every cluster.

    Raises:
        BadInputError: if a cluster has fewer than `rank` eigenvalues above `n lambda`, or has
            less than `MIN_ACTIVE_SHARE` of its units active.
        NonFiniteError: for NaN or infinity.
    """
    check_level(sigma, weight_decay)
    check_clusters(clusters)
    largest = min(min(X_k.shape) for X_k in clusters)
    if not 1 <= rank <= largest:
        raise BadInputError(
            f"generalizing_weights got rank={rank}. A cluster has at most min(n_k, dim) "
            f"eigenpairs; pass a rank from 1 to {largest}."
        )
    return _join_blocks(clusters, [rank] * len(clusters), sigma=sigma, weight_decay=weight_decay)


def hybrid_weights(
    clusters: Sequence[Float[Tensor, "_ dim"]],
    *,
    sigma: float,
    weight_decay: float,
    rank: int,
    num_units: int,
) -> ClosedFormWeights:
    """Return the weights that store duplicates in a unit each and generalize on the rest.

    A cluster whose samples are all equal (one sample, too) has rank 1 and takes one unit, as in
    Eq. 9; every other takes a block of `rank` units, as in Eq. 8 (Cor. 3.4).

    Args:
        clusters: The training samples of each cluster, one a row.
        sigma: Standard deviation of the noise, in data units; not negative.
        weight_decay: `lambda` of Eq. 6; not negative.
        rank: Units of a cluster that is not made of duplicates.
        num_units: `p`; what the blocks leave are zero columns.

    Raises:
        BadInputError: if `num_units` is below the sum of the ranks, or a block cannot be built
            (see `generalizing_weights`).
        NonFiniteError: for NaN or infinity.
    """
    check_level(sigma, weight_decay)
    check_clusters(clusters)
    ranks = [1 if bool((X_k == X_k[0]).all()) else rank for X_k in clusters]
    for k, (X_k, rank_k) in enumerate(zip(clusters, ranks, strict=True)):
        if not 1 <= rank_k <= min(X_k.shape):
            raise BadInputError(
                f"hybrid_weights got rank={rank}, and cluster {k} of shape {tuple(X_k.shape)} has "
                f"at most {min(X_k.shape)} eigenpairs. Pass a rank from 1 to that."
            )
    if num_units < sum(ranks):
        why = "fewer units than clusters" if num_units < len(ranks) else "too few units"
        raise BadInputError(
            f"hybrid_weights got num_units={num_units} for {len(ranks)} clusters of ranks "
            f"{ranks}: {why}. Pass num_units={sum(ranks)} or more, or lower rank."
        )
    weights = _join_blocks(clusters, ranks, sigma=sigma, weight_decay=weight_decay)
    spare = weights.W.new_zeros(len(weights.W), num_units - sum(ranks))
    return ClosedFormWeights(torch.cat([weights.W, spare], dim=1), weights.activity)


def _join_blocks(
    clusters: Sequence[Float[Tensor, "_ dim"]],
    ranks: Sequence[int],
    *,
    sigma: float,
    weight_decay: float,
) -> ClosedFormWeights:
    """Build one block a cluster and measure which block fires on which cluster."""
    threshold = sum(len(X_k) for X_k in clusters) * weight_decay  # n lambda
    blocks = [
        _build_block(X_k, rank, sigma=sigma, threshold=threshold, name=f"cluster {k}")
        for k, (X_k, rank) in enumerate(zip(clusters, ranks, strict=True))
    ]
    shares = [[(X_l @ W_k > 0).to(W_k.dtype).mean() for X_l in clusters] for W_k in blocks]
    activity = torch.stack([torch.stack(row) for row in shares])
    _check_active_share(activity)
    return ClosedFormWeights(torch.cat(blocks, dim=1), activity)


def _build_block(
    X_k: Float[Tensor, "case dim"], rank: int, *, sigma: float, threshold: float, name: str
) -> Float[Tensor, "dim rank"]:
    """Build `W_k` (Eq. 8)."""
    _, singular, U_T = torch.linalg.svd(X_k, full_matrices=False)
    floor = max(X_k.shape) * torch.finfo(X_k.dtype).eps * singular[0]  # rounding, not rank
    eig = torch.where(singular > floor, singular, 0)[:rank] ** 2  # X_k^T X_k = U Lambda U^T
    _check_eigenvalues(eig, threshold, f"an eigenvalue of {name}")
    # Eq. 8: the shrinkage m, then the rotation O_k
    m = (eig - threshold) / (eig + len(X_k) * sigma**2)
    W_k = U_T[:rank].T * m.sqrt()
    return W_k @ _rotation_to_ones(W_k.T @ X_k.mean(0)).T


def _rotation_to_ones(direction: Float[Tensor, " unit"]) -> Float[Tensor, "unit unit"]:
    """Return the reflection that sends `direction` to a multiple of (1, ..., 1)."""
    v = normalize(direction, dim=0) - len(direction) ** -0.5
    scale = v.square().sum().clamp_min(torch.finfo(v.dtype).tiny)
    return torch.eye(len(v)).to(v) - 2 * torch.outer(v, v) / scale


def _check_eigenvalues(eig: Float[Tensor, " kept"], threshold: float, what: str) -> None:
    smallest = eig.min().item()
    if not smallest > threshold:
        raise BadInputError(
            f"The closed form needs n * weight_decay below the smallest kept eigenvalue: got "
            f"{threshold:.3g}, and {what} is {smallest:.3g}. Lower weight_decay, or keep fewer "
            "eigenpairs or no such sample."
        )


def _check_active_share(activity: Float[Tensor, "cluster cluster"]) -> None:
    share, k = activity.diagonal().min(0)
    if share < MIN_ACTIVE_SHARE:
        raise BadInputError(
            f"Block {int(k)} has {share:.0%} of its units active on its own cluster. Eq. 8 "
            f"assumes all, and {MIN_ACTIVE_SHARE:.0%} is the least allowed; lower rank, or pass "
            "tighter clusters, farther from the origin."
        )
