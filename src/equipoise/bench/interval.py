r"""Rates and areas with their intervals; planted images are the unit of resampling.

Copies of one planted image resemble each other, so the bootstrap draws planted images (with all
their copies) and negatives, each with replacement. All intervals are 95 % percentile intervals of
1,000 resamples unless they are exact.

The area under the ROC curve is the mean over pairs of a kernel,

    K(copy, novel) = [copy > novel] + [copy = novel] / 2

so a resample that takes planted image g `c_g` times and negative j `v_j` times has the area
`sum_g sum_j c_g K_gj v_j / (sum_g c_g n_g sum_j v_j)`, with `K_gj` the kernel summed over the
`n_g` copies of g. All resamples together are then one matrix product.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats
from sklearn.metrics import roc_auc_score

RESAMPLES = 1000
LEVEL = 0.95
_BATCH = 100  # resamples at a time, which bounds the memory

Estimate = dict[str, float | int | None]
Copies = Float64[np.ndarray, " copy"]
Negatives = Float64[np.ndarray, " negative"]
Groups = Int64[np.ndarray, " copy"]


def auroc(copies: Copies, negatives: Negatives) -> float:
    """Area under the ROC curve: the chance that a copy scores above a negative."""
    truth = np.repeat([1, 0], [len(copies), len(negatives)])
    return float(roc_auc_score(truth, np.concatenate([copies, negatives])))


def estimate_auroc(copies: Copies, groups: Groups, negatives: Negatives) -> Estimate:
    """Estimate the AUROC; `groups` names the planted image of every copy.

    With fewer than two planted images there is no interval, with no copy no value: None.
    """
    value = auroc(copies, negatives) if len(copies) else None
    return _estimate_pairs(value, compare_pairs(copies, negatives), groups)


def estimate_difference(
    copies: Copies,
    negatives: Negatives,
    other_copies: Copies,
    other_negatives: Negatives,
    groups: Groups,
) -> Estimate:
    """Estimate the AUROC of one score minus that of another on the same items, paired."""
    value = None
    if len(copies):
        value = auroc(copies, negatives) - auroc(other_copies, other_negatives)
    kernel = compare_pairs(copies, negatives) - compare_pairs(other_copies, other_negatives)
    return _estimate_pairs(value, kernel, groups)


def estimate_sensitivity(
    copies: Copies,
    groups: Groups,
    negatives: Negatives,
    *,
    allowed_above: int,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Estimate the share of copies above the (`allowed_above` + 1)-th largest negative.

    The interval resamples the negatives too, which moves that threshold.
    """

    def share(chosen: np.ndarray, rows: np.ndarray, axis: int) -> np.ndarray:
        assert axis == -1
        place = negatives.shape[0] - 1 - allowed_above
        limit = np.partition(negatives[rows], place, axis=-1)[..., place]
        hits = np.stack([copies > edge for edge in np.atleast_1d(limit)]).astype(np.float64)
        return _mean_over_groups(_sum_by_group(hits, groups), _count(groups), chosen)

    limit = np.sort(negatives)[len(negatives) - 1 - allowed_above]
    value = float((copies > limit).mean()) if len(copies) else None
    result = _bootstrap(share, groups, len(negatives), resamples)
    return _describe(value, result, groups) | {"n": len(copies)}


def exact_rate(hits: int, n: int) -> Estimate:
    """Return a rate with its exact binomial interval (Clopper and Pearson)."""
    interval = stats.binomtest(hits, n).proportion_ci(LEVEL, method="exact")
    low, high = float(interval.low), float(interval.high)
    return {"value": hits / n, "low": low, "high": high, "n": n, "groups": n}


def compare_pairs(copies: Copies, negatives: Negatives) -> Float64[np.ndarray, "copy negative"]:
    """Return the kernel of the AUROC for every pair: 1 in order, 0.5 tied, 0 out of order."""
    above = copies[:, None] > negatives
    tied = copies[:, None] == negatives
    return above + 0.5 * tied


def _estimate_pairs(
    value: float | None, kernel: Float64[np.ndarray, "copy negative"], groups: Groups
) -> Estimate:
    by_group = _sum_by_group(kernel.T, groups).T  # (group, negative)
    num_negatives = kernel.shape[1]

    def area(chosen: np.ndarray, rows: np.ndarray, axis: int) -> np.ndarray:
        assert axis == -1
        taken = _tally(chosen, len(by_group)) @ by_group
        pairs = (taken * _tally(rows, num_negatives)).sum(axis=-1)
        copies = _tally(chosen, len(by_group)) @ _count(groups)
        return pairs / (copies * num_negatives)

    result = _bootstrap(area, groups, num_negatives, RESAMPLES)
    return _describe(value, result, groups) | {"n": len(groups) + num_negatives}


def _bootstrap(
    statistic: Callable[..., np.ndarray], groups: Groups, num_negatives: int, resamples: int
) -> tuple[float, float] | None:
    num_groups = len(np.unique(groups))
    if num_groups < 2:
        return None
    drawn = stats.bootstrap(
        (np.arange(num_groups), np.arange(num_negatives)), statistic,
        n_resamples=resamples, vectorized=True, batch=_BATCH, method="percentile",
        confidence_level=LEVEL, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def _describe(
    value: float | None, interval: tuple[float, float] | None, groups: Groups
) -> Estimate:
    low, high = interval or (None, None)
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": len(groups),
        "groups": len(np.unique(groups)),
    }


def _count(groups: Groups) -> np.ndarray:
    """Return the number of copies of each planted image, in the order of their indices."""
    return np.unique(groups, return_counts=True)[1]


def _sum_by_group(values: np.ndarray, groups: Groups) -> np.ndarray:
    """Sum the last axis, one copy a column, over the copies of each planted image."""
    _, place = np.unique(groups, return_inverse=True)
    member = place[:, None] == np.arange(place.max(initial=-1) + 1)
    return values @ member


def _mean_over_groups(sums: np.ndarray, counts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Average over the copies of the chosen planted images; row k of both belongs together."""
    weights = _tally(np.atleast_2d(chosen), len(counts))
    mean = (weights * sums).sum(axis=-1) / (weights @ counts)
    return mean if chosen.ndim > 1 else mean[0]


def _tally(drawn: np.ndarray, size: int) -> np.ndarray:
    """Count how often each of `size` things was drawn, along the last axis."""
    flat = np.atleast_2d(drawn)
    counts = np.zeros((len(flat), size))
    np.add.at(counts, (np.arange(len(flat))[:, None], flat), 1)
    return counts if drawn.ndim > 1 else counts[0]
