"""Pooling of activations over space or tokens, and statistics over the units that remain.

Activations are `(batch, channel, height, width)`, `(batch, token, unit)` or `(batch, unit)`.
Pooling leaves `(batch, unit)`; "none" leaves every position of every channel as a unit.

A statistic says how unevenly the units carry the representation. All but `participation_ratio`
grow with spikiness as a formula; which sign means "memorized" is measured, see `Calibration`.
"""

from collections.abc import Callable
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from equipoise.errors import BadInputError

Pooling = Literal["max", "mean", "none"]
Statistic = Literal["std", "l2", "l4_l2", "kurtosis", "participation_ratio", "hoyer"]

POOLABLE = (2, 3, 4)
"""Numbers of axes of an activation that can be pooled."""
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


def pool(h: Float[Tensor, "batch ..."], pooling: Pooling) -> Float[Tensor, "batch ..."]:
    """Pool over space (4 axes), over tokens (3 axes) or not at all (2 axes, or "none").

    Raises:
        BadInputError: for an activation with another number of axes.
    """
    if h.ndim not in POOLABLE:
        raise BadInputError(
            f"Cannot pool an activation of shape {tuple(h.shape)}: (batch, channel, height, "
            "width), (batch, token, unit) and (batch, unit) are known."
        )
    if pooling == "none" or h.ndim == 2:
        return h
    axes = (2, 3) if h.ndim == 4 else (1,)
    return h.amax(axes) if pooling == "max" else h.float().mean(axes)


def measure(pooled: Float[Tensor, "batch ..."], statistic: Statistic) -> Float[Tensor, " batch"]:
    """Measure a statistic over the units of every sample, in float64.

    - `std`: population standard deviation (Zhang et al. 2026, Alg. 1)
    - `l2`: Euclidean norm
    - `l4_l2`: `||h||_4 / ||h||_2`, scale-free, from `n^(-1/4)` (even) to 1 (one unit)
    - `kurtosis`: fourth central moment over squared variance; 3 for a Gaussian
    - `participation_ratio`: `(sum h^2)^2 / sum h^4`, from 1 (one unit) to n (even)
    - `hoyer`: `(sqrt(n) - ||h||_1/||h||_2) / (sqrt(n) - 1)`, from 0 (even) to 1 (one unit)
    """
    return _FORMULAS[statistic](pooled.flatten(1).double())


def _std(h: Tensor) -> Tensor:
    return h.std(dim=1, correction=0)


def _l2(h: Tensor) -> Tensor:
    return h.norm(dim=1)


def _l4_l2(h: Tensor) -> Tensor:
    return h.norm(p=4, dim=1) / h.norm(dim=1)


def _kurtosis(h: Tensor) -> Tensor:
    centred = h - h.mean(dim=1, keepdim=True)
    return centred.pow(4).mean(dim=1) / centred.square().mean(dim=1).square()


def _participation_ratio(h: Tensor) -> Tensor:
    return h.square().sum(dim=1).square() / h.pow(4).sum(dim=1)


def _hoyer(h: Tensor) -> Tensor:
    root = h.shape[1] ** 0.5
    return (root - h.abs().sum(dim=1) / h.norm(dim=1)) / (root - 1)


_FORMULAS: dict[Statistic, Callable[[Tensor], Tensor]] = {
    "std": _std,
    "l2": _l2,
    "l4_l2": _l4_l2,
    "kurtosis": _kurtosis,
    "participation_ratio": _participation_ratio,
    "hoyer": _hoyer,
}
