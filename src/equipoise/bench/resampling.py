"""Intervals of means, medians, ratios and differences, by resampling seeds or whole groups.

Where several items belong to one planted image, images are drawn and not items. Of 2,000 resamples
from one fixed stream the interval takes the expanded percentiles: the tail is that of Student's t
for the number of groups, widened by what a bootstrap variance is too small,

    Phi(-sqrt(k / (k - 1)) t(0.975, k - 1)) of k groups

where the plain 2.5 % would be too short with a dozen.

References:
    What Teachers Should Know About the Bootstrap (Hesterberg, 2015) | arXiv 1411.5279
"""

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy import stats

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
    return _describe(above.mean() / below.mean(), drawn, above, None, other=below)


def estimate_shift(one: Values, groups: Groups, other: Others) -> Estimate:
    """Estimate the mean of grouped items minus the mean of others that stand alone."""
    if not len(one) or not len(other):
        return _describe(None, np.array([]), one, groups)
    sides = draw_means(one, groups), draw_means(other, None, stream=1)
    drawn = sides[0] - sides[1] if all(map(len, sides)) else np.array([])
    n = len(one) + len(other)
    return _describe(one.mean() - other.mean(), drawn, one, groups, other=other) | {"n": n}


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


def expand_tail(count: int) -> float:
    """Return the share of resamples to leave out at each end for `count` groups."""
    if count < 2:
        return 0.0
    widened = np.sqrt(count / (count - 1)) * stats.t.ppf((1 + LEVEL) / 2, count - 1)
    return float(stats.norm.cdf(-widened))


def _describe(
    value: float | None,
    drawn: Float[np.ndarray, " resample"],
    values: Values,
    groups: Groups | None,
    *,
    other: Others | None = None,
) -> Estimate:
    count = len(values) if groups is None else len(np.unique(groups))
    tail = expand_tail(count if other is None else min(count, len(other)))
    low, high = np.quantile(drawn, [tail, 1 - tail]) if len(drawn) else (None, None)
    return {
        "value": None if value is None else float(value),
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "n": len(values),
        "groups": count,
    }
