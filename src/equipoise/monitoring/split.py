r"""Do training images behave otherwise than held-out ones, and which?

Both signals of every image become Savage scores of their ranks among all n images,

    w = - log(1 - (rank - 1/2) / n),

which hardly tell the lower images apart and grow for the highest: a model that memorizes begins
with few images. The evidence of an image is the sum of its two scores; the statistic of a check is

    T = sum of the evidence of the training images.

**Stop rule.** Under the null hypothesis training and held-out images are exchangeable, so
relabelling them leaves the distribution of T unchanged. The p-value of a check is the share of
relabellings, the one seen included, with a T as large; an image keeps its label over the whole
training. With at most K checks the rule stops at a p-value of at most alpha / K, and the chance
that a training whose images are exchangeable is ever stopped is at most alpha (union bound).

**Names.** An image's p-value is its rank among the held-out ones (conformal); the images with a
Benjamini-Hochberg q-value of at most the given rate are named.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import stats

from equipoise.detection import q_values
from equipoise.monitoring.probe import Evidence

CHUNK = 500


def combine_signals(evidence: Evidence) -> Float64[np.ndarray, " case"]:
    """Return the evidence of every image, higher = more memorized."""
    return score_ranks(evidence.spikiness) + score_ranks(evidence.residual)


def score_ranks(values: Float64[np.ndarray, " case"]) -> Float64[np.ndarray, " case"]:
    """Return Savage scores; equal values share the score of their mean rank."""
    return -np.log1p(-(stats.rankdata(values) - 0.5) / len(values))


@dataclass(frozen=True)
class StopRule:
    """When a training is stopped.

    Args:
        false_stops: Chance of stopping a training whose images are exchangeable, alpha.
        checks: Most checks that are made, K.
        seed: Seed of the relabellings.
    """

    false_stops: float
    checks: int
    seed: int = 0

    @property
    def level(self) -> float:
        """The p-value down to which a check stops."""
        return self.false_stops / self.checks

    @property
    def relabellings(self) -> int:
        """How many are drawn: twice as many as the level needs."""
        return math.ceil(2 / self.level) - 1

    def p_value(
        self,
        combined: Float64[np.ndarray, " case"],
        is_training: Bool[np.ndarray, " case"],
    ) -> float:
        """Return the share of relabellings with a T as large, the one seen included."""
        rng = np.random.default_rng(self.seed)
        seen, above, left = combined[is_training].sum(), 1, self.relabellings
        while left:
            count = min(CHUNK, left)
            drawn = rng.permuted(np.tile(is_training, (count, 1)), axis=1)
            # The slack keeps equal sums equal, whatever the order of the addition.
            above += int((drawn @ combined >= seen - 1e-9).sum())
            left -= count
        return above / (self.relabellings + 1)


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
