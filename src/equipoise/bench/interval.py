r"""Rates and areas with their intervals; planted images are what varies.

Copies of one planted image resemble each other, and where a dozen images stand behind an AUROC of
.99 the image that would have been missed is often not among them: no resample can know of it. So
every resample weighs the planted images, and the negatives, with random exponential weights (the
Bayesian bootstrap), and one planted image more takes part that nobody saw, with as many copies as
the mean image has:

- AUROC: an image on which the detector is at chance, 1/2, for the lower end; one that it tells
  from everything, 1, for the upper;
- share of copies found: an image of which nothing is found, and one of which everything is;
- difference of two detectors on the same items: an image whose difference is the root mean square
  of those seen, or the largest of them where that is more, against and in favour.

The ends are the 2.5 % and 97.5 % quantiles. How often such intervals cover, and where the last of
them does not: docs/coverage.md.

The area under the ROC curve is the mean over pairs of a kernel,

    K(copy, novel) = [copy > novel] + [copy = novel] / 2

References:
    The Bayesian Bootstrap (Rubin, 1981)
    Uniform confidence for a bounded mean, with one observation added at the bound (Gaffke, 2005)
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import stats
from sklearn.metrics import roc_auc_score

RESAMPLES = 1000
LEVEL = 0.95

Estimate = dict[str, float | int | None]
Copies = Float64[np.ndarray, " copy"]
Negatives = Float64[np.ndarray, " negative"]
Groups = Int64[np.ndarray, " copy"]
Found = Bool[np.ndarray, " copy"]
Kernel = Float64[np.ndarray, "copy negative"]


def auroc(copies: Copies, negatives: Negatives) -> float:
    """Area under the ROC curve: the chance that a copy scores above a negative."""
    truth = np.repeat([1, 0], [len(copies), len(negatives)])
    return float(roc_auc_score(truth, np.concatenate([copies, negatives])))


def estimate_auroc(
    copies: Copies, groups: Groups, negatives: Negatives, *, resamples: int = RESAMPLES
) -> Estimate:
    """Estimate the AUROC; `groups` names the planted image of every copy.

    With fewer than two planted images there is no interval, with no copy no value: None.
    """
    value = auroc(copies, negatives) if len(copies) else None
    ends = _reweigh(compare_pairs(copies, negatives), groups, (0.5, 1.0), resamples)
    return _describe(value, ends, groups) | {"n": len(copies) + len(negatives)}


def estimate_difference(
    copies: Copies,
    negatives: Negatives,
    other_copies: Copies,
    other_negatives: Negatives,
    groups: Groups,
    *,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Estimate the AUROC of one score minus that of another on the same items, paired."""
    n = len(copies) + len(negatives)
    if not len(copies):
        return _describe(None, None, groups) | {"n": n}
    value = auroc(copies, negatives) - auroc(other_copies, other_negatives)
    kernel = compare_pairs(copies, negatives) - compare_pairs(other_copies, other_negatives)
    return _describe_difference(value, kernel, groups, resamples) | {"n": n}


def estimate_found_difference(
    found: Found, other_found: Found, groups: Groups, *, resamples: int = RESAMPLES
) -> Estimate:
    """Estimate the share of copies that one detector finds minus that of another, paired.

    It is above zero where the difference of the logarithms of both shares is. Thresholds are
    taken as they were set.
    """
    if not len(found):
        return _describe(None, None, groups)
    kernel = found[:, None].astype(np.float64) - other_found[:, None]
    return _describe_difference(float(kernel.mean()), kernel, groups, resamples)


def estimate_sensitivity(
    copies: Copies,
    groups: Groups,
    negatives: Negatives,
    *,
    allowed_above: int,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Estimate the share of copies above the (`allowed_above` + 1)-th largest negative.

    That threshold is taken as it is: how far its false-positive rate may lie from the one wanted
    is another figure, which belongs beside this one.
    """
    found = copies > np.sort(negatives)[len(negatives) - 1 - allowed_above]
    value = float(found.mean()) if len(copies) else None
    ends = _reweigh(found[:, None].astype(np.float64), groups, (0.0, 1.0), resamples)
    return _describe(value, ends, groups)


def exact_rate(hits: int, n: int) -> Estimate:
    """Return a rate with its exact binomial interval (Clopper and Pearson)."""
    interval = stats.binomtest(hits, n).proportion_ci(LEVEL, method="exact")
    low, high = float(interval.low), float(interval.high)
    return {"value": hits / n, "low": low, "high": high, "n": n, "groups": n}


def compare_pairs(copies: Copies, negatives: Negatives) -> Kernel:
    """Return the kernel of the AUROC for every pair: 1 in order, 0.5 tied, 0 out of order."""
    above = copies[:, None] > negatives
    tied = copies[:, None] == negatives
    return above + 0.5 * tied


def _describe_difference(value: float, kernel: Kernel, groups: Groups, resamples: int) -> Estimate:
    of_image = np.array([kernel[groups == group].mean() for group in np.unique(groups)])
    typical = float(np.sqrt(np.square(of_image).mean()))
    added = (min(of_image.min(), -typical), max(of_image.max(), typical))
    return _describe(value, _reweigh(kernel, groups, added, resamples), groups)


def _reweigh(
    kernel: Kernel, groups: Groups, added: tuple[float, float], resamples: int
) -> tuple[float, float] | None:
    """Return the ends of the interval of the kernel's mean; None for fewer than two images."""
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    sums = (place[:, None] == np.arange(len(counts))).T.astype(float) @ kernel  # (image, negative)
    generator = np.random.default_rng(0)
    images = generator.standard_exponential((resamples, len(counts) + 1))
    others = generator.standard_exponential((resamples, kernel.shape[1]))
    others /= others.sum(axis=1, keepdims=True)
    seen = ((images[:, :-1] @ sums) * others).sum(axis=1)
    unseen = images[:, -1] * counts.mean()
    total = images[:, :-1] @ counts + unseen
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = (
        float(np.quantile((seen + unseen * of_image) / total, tail))
        for of_image, tail in zip(added, tails, strict=True)
    )
    return low, high


def _describe(value: float | None, ends: tuple[float, float] | None, groups: Groups) -> Estimate:
    low, high = ends or (None, None)
    return {
        "value": value, "low": low, "high": high,
        "n": len(groups), "groups": len(np.unique(groups)),
    }  # fmt: skip
