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
        multiple: How many relabellings are drawn, in units of what the level needs at least.
    """

    false_stops: float
    checks: int
    seed: int = 0
    multiple: int = 2

    @property
    def level(self) -> float:
        """The p-value down to which a check stops."""
        return self.false_stops / self.checks

    @property
    def relabellings(self) -> int:
        """How many are drawn."""
        return math.ceil(self.multiple / self.level) - 1

    def p_value(
        self,
        combined: Float64[np.ndarray, " case"],
        is_training: Bool[np.ndarray, " case"],
    ) -> float:
        """Return the share of relabellings with a T as large, the one seen included."""
        return float(self.p_values(combined, is_training[None])[0])

    def p_values(
        self,
        combined: Float64[np.ndarray, " case"],
        labellings: Bool[np.ndarray, "labelling case"],
    ) -> Float64[np.ndarray, " labelling"]:
        """Return the same for many ways to call equally many of the images training images."""
        drawn = np.sort(self._draw_sums(combined, int(labellings[0].sum())))
        # The slack keeps equal sums equal, whatever the order of the addition.
        below = np.searchsorted(drawn, labellings @ combined - 1e-9, side="left")
        return (1 + len(drawn) - below) / (len(drawn) + 1)

    def _draw_sums(self, combined: np.ndarray, training: int) -> np.ndarray:
        rng, sums, left = np.random.default_rng(self.seed), [], self.relabellings
        labels = np.arange(len(combined)) < training
        while left:
            count = min(CHUNK, left)
            sums.append(rng.permuted(np.tile(labels, (count, 1)), axis=1) @ combined)
            left -= count
        return np.concatenate(sums)


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
