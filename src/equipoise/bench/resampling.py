"""Intervals of means, medians, ratios and differences, by resampling seeds or whole groups.

Where several items belong to one planted image, images are drawn and not items. All intervals are
95 % percentile intervals of 2,000 resamples from one fixed stream.
"""

import numpy as np
from jaxtyping import Float, Float64, Int64

from equipoise.bench.interval import LEVEL, Estimate

RESAMPLES = 2000
Values = Float64[np.ndarray, " item"]
Others = Float64[np.ndarray, " other"]
Groups = Int64[np.ndarray, " item"]


def estimate_mean(values: Values, groups: Groups | None = None) -> Estimate:
    """Estimate a mean; `groups` names the planted image of every item."""
    return _describe(
        values.mean() if len(values) else None, draw_means(values, groups), values, groups
    )


def estimate_median(values: Values) -> Estimate:
    """Estimate the median over seeds."""
    if not len(values):
        return _describe(None, np.array([]), values, None)
    rows = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    return _describe(np.median(values), np.median(values[rows], axis=1), values, None)


def estimate_ratio(above: Values, below: Others) -> Estimate:
    """Estimate the mean of one sample over the mean of another."""
    if not len(above) or not below.mean() > 0:
        return _describe(None, np.array([]), above, None)
    sides = draw_means(above, None), draw_means(below, None, stream=1)
    drawn = sides[0] / sides[1] if all(map(len, sides)) else np.array([])
    return _describe(above.mean() / below.mean(), drawn, above, None)


def estimate_shift(one: Values, groups: Groups, other: Others) -> Estimate:
    """Estimate the mean of grouped items minus the mean of others that stand alone."""
    if not len(one) or not len(other):
        return _describe(None, np.array([]), one, groups)
    sides = draw_means(one, groups), draw_means(other, None, stream=1)
    drawn = sides[0] - sides[1] if all(map(len, sides)) else np.array([])
    return _describe(one.mean() - other.mean(), drawn, one, groups) | {"n": len(one) + len(other)}


def draw_means(
    values: Values, groups: Groups | None, *, stream: int = 0
) -> Float[np.ndarray, " resample"]:
    """Return resampled means; groups are drawn whole, with all their items."""
    if not len(values):
        return np.array([])
    names = np.arange(len(values)) if groups is None else groups
    _, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return np.array([])
    sums = np.bincount(place, weights=values)
    rows = np.random.default_rng(stream).integers(0, len(counts), (RESAMPLES, len(counts)))
    return sums[rows].sum(axis=1) / counts[rows].sum(axis=1)


def _describe(
    value: float | None,
    drawn: Float[np.ndarray, " resample"],
    values: Values,
    groups: Groups | None,
) -> Estimate:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) if len(drawn) else (None, None)
    return {
        "value": None if value is None else float(value),
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "n": len(values),
        "groups": len(values) if groups is None else len(np.unique(groups)),
    }
