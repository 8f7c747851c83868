r"""What generalizing blocks cost on fresh samples of a mixture (Cor. 3.3).

As n_k grows, a block tends to the truncated shrinkage of its mode, with `eig_j` the eigenvalues of
`S_k` and `lambda` the weight decay:

    W_k W_k^T -> rank-p_k truncation of (S_k - (lambda / rho_k) I) (S_k + sigma^2 I)^{-1}

For `lambda -> 0` this is `m_j = eig_j / (eig_j + sigma^2)` along each kept direction, and the
expected loss on a fresh noisy sample splits into three parts:

    bias      sum_{j <= p_k} eig_j (1 - m_j)^2 = sum eig_j sigma^4 / (eig_j + sigma^2)^2
    variance  sum_{j <= p_k} sigma^2 m_j^2     = sum sigma^2 eig_j^2 / (eig_j + sigma^2)^2
    tail      sum_{j > p_k} eig_j

Bias and variance add up to `sum eig_j sigma^2 / (eig_j + sigma^2)`. The bound as printed has the
bias, the tail and `C_k p_k / (sigma^2 n_k)`, and no variance: as n_k grows it falls below the
loss it should bound. Without noise on the *test* sample the variance is gone and the printed
terms are the loss. `LossParts` holds the parts, so that both can be compared with a measurement.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Corollary 3.3 | arXiv 2512.20963
"""

from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.errors import BadInputError
from equipoise.theory.mixture import GaussianMixture
from equipoise.theory.requirement import check_level


@dataclass(frozen=True)
class LossParts:
    """The expected loss of truncated shrinkage on a fresh sample, by part."""

    bias: float
    variance: float
    tail: float

    @property
    def noisy(self) -> float:
        """Loss on a fresh sample with noise: the denoising loss."""
        return self.bias + self.variance + self.tail

    @property
    def clean(self) -> float:
        """Loss on a fresh sample without noise: what the printed bound tends to."""
        return self.bias + self.tail


def limit_shrinkage(
    mixture: GaussianMixture, mode: int, *, sigma: float, weight_decay: float, rank: int
) -> Float[Tensor, "dim dim"]:
    """Return the limit of `W_k W_k^T` for one mode (Cor. 3.3).

    Raises:
        BadInputError: if there is no such mode, or a kept eigenvalue of `S_k` is not above
            `lambda / rho_k`.
    """
    check_level(sigma, weight_decay)
    if not 0 <= mode < len(mixture.weights):
        raise BadInputError(
            f"limit_shrinkage got mode={mode} of a mixture of {len(mixture.weights)}. Pass 0 to "
            f"{len(mixture.weights) - 1}."
        )
    eig, U = _eigenpairs(mixture, mode, rank)
    threshold = weight_decay / float(mixture.weights[mode])
    if not float(eig[rank - 1]) > threshold:
        raise BadInputError(
            f"Eigenvalue {rank} of mode {mode} is {float(eig[rank - 1]):.3g}, not above lambda / "
            f"rho = {threshold:.3g}. Lower weight_decay or rank."
        )
    m = (eig[:rank] - threshold) / (eig[:rank] + sigma**2)
    return (U[:, :rank] * m) @ U[:, :rank].T


def expected_loss(mixture: GaussianMixture, *, sigma: float, rank: int) -> LossParts:
    """Return the exact expected loss of the limit of Cor. 3.3, for `lambda -> 0`.

    Args:
        mixture: Where fresh samples come from, each met by the block of its own mode.
        sigma: Standard deviation of the noise, in data units.
        rank: `p_k`, the directions kept in every mode.

    Raises:
        BadInputError: for a rank outside 1 to dim, or a wrong sigma.
    """
    check_level(sigma, 0.0)
    bias = variance = tail = 0.0
    for k, rho in enumerate(mixture.weights.tolist()):
        eig, _ = _eigenpairs(mixture, k, rank)
        kept = eig[:rank].clamp_min(torch.finfo(eig.dtype).tiny)
        m = kept / (kept + sigma**2)
        bias += rho * float((kept * (1 - m) ** 2).sum())
        variance += rho * float((sigma**2 * m**2).sum())
        tail += rho * float(eig[rank:].clamp_min(0).sum())
    return LossParts(bias, variance, tail)


def loss_bound(
    mixture: GaussianMixture, *, sigma: float, rank: int, num_samples: int, constant: float
) -> float:
    """Return the test-loss bound of Cor. 3.3 as printed, with `C_k = constant` for all k.

    The corollary does not say what `C_k` is. For every constant the bound falls below the
    expected loss when n is large enough; see `LossParts`.

    Args:
        mixture: Where fresh samples come from.
        sigma: Standard deviation of the noise, in data units; at 0 the bound is infinite.
        rank: `p_k`.
        num_samples: `n`, of which mode k has `rho_k n`.
        constant: `C_k`, not negative.

    Raises:
        BadInputError: for no sample, a negative constant, or what `expected_loss` refuses.
    """
    if num_samples < 1 or not 0 <= constant < inf:
        raise BadInputError(
            f"loss_bound got num_samples={num_samples} and constant={constant}. Pass 1 or more "
            "samples, and a finite constant that is not negative."
        )
    parts = expected_loss(mixture, sigma=sigma, rank=rank)
    modes = len(mixture.weights)  # sum_k rho_k C p / (sigma^2 rho_k n)
    estimation = constant * rank * modes / (sigma**2 * num_samples) if sigma > 0 else inf
    return parts.clean + estimation


def _eigenpairs(mixture: GaussianMixture, mode: int, rank: int) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, descending, and eigenvectors of `S_k`."""
    dim = mixture.means.shape[1]
    if not 1 <= rank <= dim:
        raise BadInputError(
            f"Cor. 3.3 got rank={rank} in {dim} dimensions. Pass a rank from 1 to {dim}."
        )
    eig, U = torch.linalg.eigh(mixture.second_moments[mode])
    return eig.flip(0), U.flip(1)
