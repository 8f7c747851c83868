r"""Intervals for areas near one from few planted images, which the bootstrap makes too short.

Where a dozen images stand behind an AUROC of .99, the image that would have been missed is often
not among them, and no resample can know of it. Here every resample weighs the planted images, and
the negatives, with random exponential weights (the Bayesian bootstrap), and one planted image more
takes part that nobody saw:

- for the lower end, one on which the detector is at chance: its copies have an area of 1/2;
- for the upper end, one that it tells from everything: 1.

For the difference of two detectors on the same items the added image has the largest difference
that any planted image had, against or in favour. Its number of copies is the mean. Ends are the
2.5 % and 97.5 % quantiles. How often such intervals cover: docs/coverage.md.

References:
    The Bayesian Bootstrap (Rubin, 1981)
    Uniform confidence for a bounded mean, with one observation added at the bound (Gaffke, 2005)
"""

import numpy as np
from jaxtyping import Float64

from equipoise.bench.interval import Copies, Estimate, Groups, Negatives, auroc, compare_pairs

RESAMPLES = 1000
_TAILS = (2.5, 97.5)  # %

Kernel = Float64[np.ndarray, "copy negative"]


def estimate_area(
    copies: Copies, groups: Groups, negatives: Negatives, *, resamples: int = RESAMPLES
) -> Estimate:
    """Estimate the AUROC; `groups` names the planted image of every copy.

    With fewer than two planted images there is no interval, with no copy no value: None.
    """
    value = auroc(copies, negatives) if len(copies) else None
    ends = _reweigh(compare_pairs(copies, negatives), groups, (0.5, 1.0), resamples)
    return _describe(value, ends, groups, len(negatives))


def estimate_area_difference(
    copies: Copies,
    negatives: Negatives,
    other_copies: Copies,
    other_negatives: Negatives,
    groups: Groups,
    *,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Estimate the AUROC of one score minus that of another on the same items, paired."""
    if not len(copies):
        return _describe(None, None, groups, len(negatives))
    value = auroc(copies, negatives) - auroc(other_copies, other_negatives)
    kernel = compare_pairs(copies, negatives) - compare_pairs(other_copies, other_negatives)
    of_image = [kernel[groups == group].mean() for group in np.unique(groups)]
    largest = float(np.abs(of_image).max())
    ends = _reweigh(kernel, groups, (-largest, largest), resamples)
    return _describe(value, ends, groups, len(negatives))


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
    low, high = (
        float(np.percentile((seen + unseen * area) / total, tail))
        for area, tail in zip(added, _TAILS, strict=True)
    )
    return low, high


def _describe(
    value: float | None, ends: tuple[float, float] | None, groups: Groups, num_negatives: int
) -> Estimate:
    low, high = ends or (None, None)
    return {
        "value": value, "low": low, "high": high,
        "n": len(groups) + num_negatives, "groups": len(np.unique(groups)),
    }  # fmt: skip
