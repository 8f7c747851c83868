"""What the theory asks of its input, said before any formula is evaluated.

Every function of the room that takes samples, clusters or a setting calls these checks, so that a
wrong shape, a NaN, a zero sample or an empty set is one clear message and never a silent number.
"""

from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

from equipoise.errors import BadInputError, NonFiniteError


def check_samples(X: object, *, what: str = "X") -> None:
    """Refuse what is no matrix of finite floating-point samples, one a row.

    Raises:
        BadInputError: for another shape or type, or no sample at all.
        NonFiniteError: for NaN or infinity.
    """
    if not isinstance(X, Tensor) or X.ndim != 2 or not X.is_floating_point():
        given = f"{tuple(X.shape)}, {X.dtype}" if isinstance(X, Tensor) else type(X).__name__
        raise BadInputError(
            f"{what} is of {given}. Samples are the rows of a floating-point tensor (case, dim); "
            "flatten images, convert whole numbers, and wrap arrays by torch.as_tensor."
        )
    if 0 in X.shape:
        raise BadInputError(
            f"{what} has shape {tuple(X.shape)}: it holds no sample. Pass one or more."
        )
    finite = torch.isfinite(X.square().sum(1))
    if not bool(finite.all()):
        bad = (~finite).nonzero().flatten().tolist()
        raise NonFiniteError(
            f"{what} holds NaN, infinity or a norm beyond {X.dtype} in {len(bad)} sample(s), the "
            f"first is {bad[0]}. Every squared norm must be finite; leave those samples out."
        )


def check_clusters(clusters: Sequence[Tensor]) -> None:
    """Refuse clusters that are empty, not finite, or of different dim or type.

    Raises:
        BadInputError: for no cluster, an empty one, or differing dims or types.
        NonFiniteError: for NaN or infinity.
    """
    for k, X_k in enumerate(clusters):
        check_samples(X_k, what=f"Cluster {k}")
    if len({(X_k.shape[1], X_k.dtype) for X_k in clusters}) != 1:
        shapes = [(*X_k.shape, str(X_k.dtype)) for X_k in clusters]
        raise BadInputError(
            f"The clusters have shapes and types {shapes}. One or more are needed, all of the "
            "same dim and type; pass one (case, dim) tensor a cluster."
        )


def check_width(X: Tensor, dim: int) -> None:
    """Refuse samples that do not fit a network.

    Raises:
        BadInputError: for samples of another dim, and what `check_samples` refuses.
        NonFiniteError: for NaN or infinity.
    """
    check_samples(X)
    if X.shape[1] != dim:
        raise BadInputError(
            f"The samples have {X.shape[1]} values, the network takes {dim}. They must be equal; "
            "pass samples of the network's dim."
        )


def check_nonzero(X: Tensor, *, what: str) -> None:
    """Refuse rows that are zero: they have no direction that a unit could point in.

    Raises:
        BadInputError: naming the first of them.
    """
    zero = (X.square().sum(1) == 0).nonzero().flatten().tolist()
    if zero:
        raise BadInputError(
            f"{what} {zero[0]} is zero ({len(zero)} in all). A unit points in the direction of "
            "what it stores, and zero has none; leave it out."
        )


def check_distinct(X: Tensor) -> None:
    """Refuse equal samples: two units would answer one of them.

    Raises:
        BadInputError: naming the first pair.
    """
    _, group, count = X.unique(dim=0, return_inverse=True, return_counts=True)
    if int(count.max()) > 1:
        first, second = (group == count.argmax()).nonzero().flatten().tolist()[:2]
        raise BadInputError(
            f"Samples {first} and {second} are equal. Memorizing weights need distinct samples; "
            "drop the copies, or pass them as one cluster to hybrid_weights."
        )


def check_level(sigma: float, weight_decay: float) -> None:
    """Refuse a noise level or a weight decay that is negative or not finite.

    Raises:
        BadInputError: naming the value.
    """
    for name, value in (("sigma", sigma), ("weight_decay", weight_decay)):
        if not (isfinite(value) and value >= 0):
            raise BadInputError(
                f"The objective (Eq. 6) got {name}={value}. It must be finite and not negative; "
                f"pass {name}=0 or more."
            )
