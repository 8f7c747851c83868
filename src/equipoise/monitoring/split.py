r"""Do training images behave otherwise than held-out ones, and which?

The evidence w of an image at a check is the Savage score of its rank among all n images,

    - log(1 - (rank - 1/2) / n),

which hardly tells the lower images apart and grows for the highest: a model that memorizes begins
with few images. What is ranked is the gain of the residual over its mean at all checks before:
what makes one image harder than another, whatever the training, falls out of it, and an image that
was memorized long ago keeps a part of its gain. At the first check nothing lies behind, and w is
the sum of the scores of spikiness and residual.

**Names.** An image's p-value is its rank among the held-out ones (conformal); the images with a
Benjamini-Hochberg q-value of at most the given rate are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import stats

from equipoise.detection import q_values
from equipoise.monitoring.probe import Evidence


def weigh_images(seen: Sequence[Evidence]) -> Float64[np.ndarray, " case"]:
    """Return the evidence of every image at the last of some checks, higher = more memorized.

    Args:
        seen: What every check saw, from the first on.
    """
    now = seen[-1]
    if len(seen) == 1:
        return score_ranks(now.spikiness) + score_ranks(now.residual)
    return score_ranks(now.residual - np.mean([check.residual for check in seen[:-1]], axis=0))


def score_ranks(values: Float64[np.ndarray, " case"]) -> Float64[np.ndarray, " case"]:
    """Return Savage scores; equal values share the score of their mean rank."""
    return -np.log1p(-(stats.rankdata(values) - 0.5) / len(values))


@dataclass(frozen=True)
class Naming:
    """One p-value and one q-value a training image, and which are named."""

    p_values: Float64[np.ndarray, " training"]
    q_values: Float64[np.ndarray, " training"]
    named: Bool[np.ndarray, " training"]


def name_images(
    weights: Float64[np.ndarray, " case"],
    is_training: Bool[np.ndarray, " case"],
    *,
    fdr: float,
) -> Naming:
    """Name the training images that stand out from the held-out ones.

    Args:
        weights: Evidence of every image.
        is_training: Which are training images.
        fdr: Expected share of false names among the named.
    """
    others = np.sort(weights[~is_training])
    below = np.searchsorted(others, weights[is_training], side="left")
    p_values = (1 + len(others) - below) / (len(others) + 1)
    q = q_values(torch.from_numpy(p_values)).numpy()
    return Naming(p_values, q, q <= fdr)
