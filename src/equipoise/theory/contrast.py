"""How well one number tells memorized samples from others: AUROC with a bootstrap interval."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from equipoise.errors import BadInputError

RESAMPLES = 1000


def measure_contrast(
    memorized: Float[np.ndarray, " positive"],
    others: Float[np.ndarray, " negative"],
    *,
    groups: Sequence[Hashable],
) -> dict[str, Any]:
    """Measure the AUROC of a score that should be higher on memorized samples.

    Args:
        memorized: Scores of memorized samples.
        others: Scores of samples that are not memorized.
        groups: What each memorized sample is a copy of; whole groups are resampled, for copies
            of one image are not independent.

    Returns:
        `value, low, high` (95 %, percentile bootstrap of groups and others), `n`, `groups`.

    Raises:
        BadInputError: when either side is empty, or a score is NaN.
    """
    if not len(memorized) or not len(others) or len(groups) != len(memorized):
        raise BadInputError(
            f"An AUROC got {len(memorized)} memorized samples in {len(groups)} groups and "
            f"{len(others)} others. Both sides need one or more, and a group a memorized sample."
        )
    if np.isnan(memorized).any() or np.isnan(others).any():
        raise BadInputError("An AUROC got NaN among the scores; leave those samples out.")
    members = {
        group: np.flatnonzero([g == group for g in groups]) for group in dict.fromkeys(groups)
    }
    rng = np.random.default_rng(0)
    names = list(members)
    areas = []
    for _ in range(RESAMPLES):
        drawn = [members[names[i]] for i in rng.integers(0, len(names), len(names))]
        negatives = others[rng.integers(0, len(others), len(others))]
        areas.append(_measure_area(memorized[np.concatenate(drawn)], negatives))
    low, high = np.quantile(areas, [0.025, 0.975])
    return {
        "value": _measure_area(memorized, others), "low": float(low), "high": float(high),
        "n": len(memorized) + len(others), "groups": len(names),
    }  # fmt: skip


def _measure_area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the share of pairs in the right order; ties count one half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(ordered)))
