"""Rates and areas with their intervals; planted images are the unit of resampling.

Copies of one planted image resemble each other, so the bootstrap draws planted images (with all
their copies) and negatives, each with replacement. All intervals are 95 % percentile intervals of
1,000 resamples unless they are exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats
from sklearn.metrics import roc_auc_score

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Positives:
    """Scores of copies, one row a copy and one column a score, and the planted image of each."""

    scores: Float64[np.ndarray, "case score"]
    groups: Int64[np.ndarray, " case"]

    @property
    def num_groups(self) -> int:
        """Number of planted images that were copied at all."""
        return len(np.unique(self.groups))

    def take(self, chosen: Int64[np.ndarray, " group"]) -> Float64[np.ndarray, "case score"]:
        """Return the copies of the chosen planted images, as often as each was chosen."""
        members = self._members()
        return self.scores[np.concatenate([members[g] for g in chosen])]

    def _members(self) -> list[Int64[np.ndarray, " case"]]:
        order = np.argsort(self.groups, kind="stable")
        _, starts = np.unique(self.groups[order], return_index=True)
        return np.split(order, starts[1:])


Estimate = dict[str, float | int | None]
Statistic = Callable[[np.ndarray, np.ndarray], float]


def auroc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a copy scores above a negative."""
    truth = np.repeat([1, 0], [len(positives), len(negatives)])
    return float(roc_auc_score(truth, np.concatenate([positives, negatives])))


def estimate(
    statistic: Statistic,
    positives: Positives,
    negatives: Float64[np.ndarray, "case score"],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return a statistic of (copies, negatives) with its grouped bootstrap interval.

    With fewer than two planted images there is no interval: `low` and `high` are None.
    """
    result: Estimate = {
        "value": statistic(positives.scores, negatives) if len(positives.scores) else None,
        "low": None,
        "high": None,
        "n": len(positives.scores) + len(negatives),
        "groups": positives.num_groups,
    }
    if positives.num_groups > 1:
        drawn = stats.bootstrap(
            (np.arange(positives.num_groups), np.arange(len(negatives))),
            lambda groups, rows: statistic(positives.take(groups), negatives[rows]),
            n_resamples=resamples, vectorized=False, method="percentile",
            confidence_level=LEVEL, rng=np.random.default_rng(seed),
        )  # fmt: skip
        result["low"] = float(drawn.confidence_interval.low)
        result["high"] = float(drawn.confidence_interval.high)
    return result


def exact_rate(hits: int, n: int) -> Estimate:
    """Return a rate with its exact binomial interval (Clopper and Pearson)."""
    interval = stats.binomtest(hits, n).proportion_ci(LEVEL, method="exact")
    return {"value": hits / n, "low": float(interval.low), "high": float(interval.high), "n": n}
