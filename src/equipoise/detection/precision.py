"""The arithmetic of a detector, tried on a few pictures and then fixed in its specification.

On processors with bf16 units half precision is faster, on others slower. It changes every score a
little, so it is chosen before a threshold is set, and whoever uses the threshold computes alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.draws import Precision, Scores
from equipoise.detection.spikiness import Spikiness

TRIED = 32
"""Pictures that are scored in both, at most."""
FASTER = 1.2
"""Half precision is taken only where it is this many times as fast,"""
SPEARMAN = 0.99
"""keeps the order of the pictures,"""
DEVIATION = 0.05
"""and moves scores by no more than this share of their standard deviation over the pictures."""


@dataclass(frozen=True)
class Trial:
    """bfloat16 against float32 on the same pictures and noise."""

    speedup: float
    """Seconds in float32 over seconds in bfloat16."""
    spearman: float | None
    """Rank correlation of the scores; None where they are all equal, or not finite."""
    deviation: float | None
    """Root mean square difference, in standard deviations of the float32 scores; None likewise."""
    n: int
    """Pictures."""

    @property
    def precision(self) -> Precision:
        """The faster one, if it says the same."""
        if self.spearman is None or self.deviation is None:
            return "float32"
        agrees = self.spearman >= SPEARMAN and self.deviation <= DEVIATION
        return "bfloat16" if agrees and self.speedup >= FASTER else "float32"


def try_precisions(
    denoiser: Denoiser,
    detector: Spikiness,
    images: Float[Tensor, "case ..."],
    ids: Sequence[str],
    *,
    conditions: Shaped[Tensor, "case ..."] | None = None,
) -> Trial:
    """Score the first pictures in both precisions, each once before it is timed."""

    def score(precision: Precision, count: int) -> Scores:
        chosen = detector.model_copy(update={"precision": precision})
        told = None if conditions is None else conditions[:count]
        return chosen.score(denoiser, images[:count], ids[:count], conditions=told)

    for precision in ("float32", "bfloat16"):
        score(precision, 1)
    return compare(score("float32", TRIED), score("bfloat16", TRIED))


def compare(full: Scores, half: Scores) -> Trial:
    """Compare scores of the same pictures in float32 and in bfloat16."""
    spread = float(full.values.std(correction=0))
    distance = float((half.values - full.values).square().mean().sqrt())
    known = spread > 0 and math.isfinite(spread + distance)
    return Trial(
        speedup=full.seconds / half.seconds,
        spearman=correlate_ranks(full.values, half.values) if known else None,
        deviation=distance / spread if known else None,
        n=len(full.values),
    )


def correlate_ranks(one: Float[Tensor, " case"], other: Float[Tensor, " case"]) -> float:
    """Return Spearman's rank correlation, in [-1, 1]."""
    return float(np.corrcoef(stats.rankdata(one), stats.rankdata(other))[0, 1])
