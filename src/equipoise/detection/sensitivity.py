r"""True-positive rate on known copies, with an interval that knows that copies come in groups.

Copies of one training image resemble each other, so `n` copies of `G` images tell less than `n`
independent ones. With `p` the share found and `x_g` of the `n_g` copies of image g,

    var(p) = G / (G - 1) * sum_g (x_g - p n_g)^2 / n^2
    n_e    = p (1 - p) / var(p) * (t_{n-1} / t_{G-1})^2,   at most n

and the interval is Clopper and Pearson's with `n_e` instead of `n`.

References:
    Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated
    from Survey Data (Korn and Graubard, 1998)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

LEVEL = 0.95


class KnownCopies(BaseModel):
    """Scores of outputs known to copy one training image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: int
    """Index of the training image."""
    scores: tuple[float, ...]
    """Score of every copy."""


@dataclass(frozen=True)
class Sensitivity:
    """Share of known copies at or above a threshold.

    `hits` of `n` copies of `groups` training images, worth `effective_n` independent ones.
    """

    hits: int
    n: int
    groups: int
    effective_n: float

    @property
    def value(self) -> float:
        """The share found."""
        return self.hits / self.n

    def describe(self) -> dict[str, float | int]:
        """Return the share with its interval, as a record holds it."""
        low, high = self.interval()
        return {"value": self.value, "low": low, "high": high, "n": self.n, "groups": self.groups}

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share."""
        found, missed = self.value * self.effective_n, (1 - self.value) * self.effective_n
        tail = (1 - LEVEL) / 2
        low = stats.beta.ppf(tail, found, missed + 1) if self.hits else 0.0
        high = stats.beta.ppf(1 - tail, found + 1, missed) if self.hits < self.n else 1.0
        return float(low), float(high)

    def draw_other(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw plausible shares among copies of as many *other* images.

        Both sets of images vary, so the variance is twice that of this one: Jeffreys' posterior
        of half as many copies.
        """
        n = self.effective_n / 2
        return rng.beta(self.value * n + 0.5, (1 - self.value) * n + 0.5, count)


def measure_sensitivity(copies: Sequence[KnownCopies], threshold: float) -> Sensitivity | None:
    """Count the known copies at or above the threshold; None when there are none."""
    if not copies:
        return None
    found = np.array([sum(score >= threshold for score in group.scores) for group in copies])
    sizes = np.array([len(group.scores) for group in copies])
    effective = _count_effective(found, sizes)
    return Sensitivity(int(found.sum()), int(sizes.sum()), len(copies), effective)


def _count_effective(found: np.ndarray, sizes: np.ndarray) -> float:
    groups, n = len(sizes), int(sizes.sum())
    if groups < 2:
        return 1.0  # one image tells nothing about others
    p = found.sum() / n
    variance = groups / (groups - 1) * ((found - p * sizes) ** 2).sum() / n**2
    # All found or none: no spread to measure, so an image counts as one copy.
    plain = p * (1 - p) / variance if variance > 0 else float(groups)
    wider = stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, groups - 1)
    return float(min(n, plain * wider**2))
