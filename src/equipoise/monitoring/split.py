r"""Do training images behave otherwise than held-out ones, and which?

Both signals of every image become Savage scores of their ranks among all n images,

    - log(1 - (rank - 1/2) / n),

which hardly tell the lower images apart and grow for the highest: a model that memorizes begins
with few images. The evidence w of an image is the sum of its two scores.

**Names.** An image's p-value is its rank among the held-out ones (conformal); the images with a
Benjamini-Hochberg q-value of at most the given rate are named.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import stats

from equipoise.detection import q_values
from equipoise.monitoring.probe import Evidence


def combine_signals(evidence: Evidence) -> Float64[np.ndarray, " case"]:
    """Return the evidence of every image, higher = more memorized."""
    return score_ranks(evidence.spikiness) + score_ranks(evidence.residual)


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
    combined: Float64[np.ndarray, " case"],
    is_training: Bool[np.ndarray, " case"],
    *,
    fdr: float,
) -> Naming:
    """Name the training images that stand out from the held-out ones.

    Args:
        combined: Evidence of every image.
        is_training: Which are training images.
        fdr: Expected share of false names among the named.
    """
    others = np.sort(combined[~is_training])
    below = np.searchsorted(others, combined[is_training], side="left")
    p_values = (1 + len(others) - below) / (len(others) + 1)
    q = q_values(torch.from_numpy(p_values)).numpy()
    return Naming(p_values, q, q <= fdr)
