r"""Which samples get a unit: the p largest gains, and the curve on which a sample wins or loses.

With separable clusters Theorem 3.1 fixes the blocks and leaves one thing open, how the p units are
shared among them. A unit that keeps an eigenpair of cluster k, with eigenvalue `Lambda` of
`X_k^T X_k`, costs at its best `m = (Lambda - n lambda) / (Lambda + n_k sigma^2)` (Eq. 8)

    Lambda (1 - m)^2 + n_k sigma^2 m^2 + 2 n lambda m

in units of `n` times Eq. 6, and `Lambda` if it is left out. The difference is its gain,

    g = (Lambda - n lambda)_+^2 / (Lambda + n_k sigma^2)                                  (G)

Gains of different eigenpairs add up, so the loss is least where the p largest are kept. A sample
that is alone in its cluster, `Lambda = c e` with `e = ||x||^2` and c copies, becomes a column
if its gain is one of them.

**Images against units.** n samples of K modes, once each. Modes with several samples have the
larger gains and take a unit first; there are `K (1 - q^n) - n q^(n-1)` of them on average, with
`q = 1 - 1/K`, and `n q^(n-1)` samples are alone. Half of the samples are stored where

    p = K (1 - q^n) - n q^(n-1) + n / 2,    n < 1 + ln 2 / -ln q                           (A)

and beyond that n fewer than half are alone, however many units there are. The paper's condition
for storing all is `p >= n`.

**Images against copies.** M samples c times, each alone in its mode, and n others of the K - M
modes, so many that eigenvalues are those of `S_k`. The means of these modes have the largest
gains; a duplicate competes with their directions of spread, `Lambda = n s^2 / (K - M)`. With
`r = c / n` all terms of (G) are proportional to n, and the boundary is a straight line `c = r n`,

    r e - (1 + M r) lambda = sqrt(g_s r (e + sigma^2)),   e = a^2 + q s^2                  (B)

with `g_s` the gain of a direction of spread over n. It holds where the units suffice for the means
and the duplicates, and not for all directions of spread.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from scipy.optimize import root_scalar
from torch import Tensor

from equipoise.theory.phase.world import DUPLICATED, MODES, NORM, SPREAD, SPREAD_DIM

TOLERANCE = 1e-9
"""Eigenvalues below this share of a cluster's largest are rounding."""


def measure_gain(
    eigenvalue: float, count: int | float, *, sigma: float, threshold: float
) -> float:
    """Return what a unit saves, times n (G); `threshold` is `n lambda`, `count` is `n_k`."""
    return max(eigenvalue - threshold, 0.0) ** 2 / (eigenvalue + count * sigma**2)


def list_gains(
    clusters: Sequence[Float[Tensor, "_ dim"]], *, sigma: float, weight_decay: float
) -> list[tuple[float, int]]:
    """List the gain of every eigenpair and its cluster, the largest first; those without, not."""
    threshold = sum(len(X_k) for X_k in clusters) * weight_decay
    gains = []
    for k, X_k in enumerate(clusters):
        eigenvalues = (torch.linalg.svdvals(X_k.double()) ** 2).tolist()
        gains += [
            (measure_gain(value, len(X_k), sigma=sigma, threshold=threshold), k)
            for value in eigenvalues
            if value > TOLERANCE * eigenvalues[0]
        ]
    return sorted(((gain, k) for gain, k in gains if gain > 0), reverse=True)


def find_half_stored(images: float | int) -> float:
    """Return the number of units with which half of so many samples are stored (A).

    Infinite where fewer than half are alone in their mode.
    """
    q = 1 - 1 / MODES
    if images > find_last():
        return math.inf
    return MODES * (1 - q**images) - images * q ** (images - 1) + images / 2


def find_last() -> float:
    """Return the number of samples of which half are alone in their mode."""
    return 1 + math.log(2) / -math.log(1 - 1 / MODES)


def find_copy_share(*, sigma: float, weight_decay: float) -> float:
    """Return `r`: a sample given r n times among n others wins a unit from them (B)."""
    energy = NORM**2 + SPREAD_DIM * SPREAD**2
    modes = MODES - DUPLICATED

    def compare(r: float) -> float:
        threshold = (1 + DUPLICATED * r) * weight_decay  # n lambda, over the n others
        level = {"sigma": sigma, "threshold": threshold}
        return measure_gain(r * energy, r, **level) - measure_gain(
            SPREAD**2 / modes, 1 / modes, **level
        )

    return root_scalar(compare, bracket=(1e-6, 1.0)).root
