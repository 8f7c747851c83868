r"""When is a training stopped? A test over its whole course, at a stated rate of false stops.

The statistic of a check is the sum of the evidence (`split.py`) of the training images,

    T_k = sum over training images of w.

Under the null hypothesis training and held-out images are exchangeable, so B relabellings, each
kept for the whole training, make courses T_1, T_2, ... like the one seen. Of these B + 1 courses
the rule stops, up to check k of at most K, a share of no more than alpha k / K: at each check the
highest of those still going, as many as the share has left (alpha spending, Lan and DeMets 1983,
with the permutation distribution in the place of a Brownian motion). The course seen is stopped
when it is higher than the lowest of them. All courses are treated alike and no more than a share
alpha of them is ever stopped: a training whose images are exchangeable is stopped with a chance of
at most alpha.

A union bound would give each check alpha / K. Checks of one training say nearly the same, and what
was stopped before need not be stopped again: the more alike the checks, the higher their levels.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

CHUNK = 500
"""Relabellings that are drawn at once."""
GATHER = 10_000
"""Relabellings that are added up at once."""
EACH = 20
"""Courses that a check may stop, unless it is told otherwise."""
SLACK = 1e-9
"""Sums that differ by less are equal, whatever the order of the addition."""


@dataclass(frozen=True)
class StopRule:
    """When a training is stopped.

    Args:
        false_stops: Chance of stopping a training whose images are exchangeable, alpha.
        checks: Most checks that are made, K.
        seed: Seed of the relabellings.
        each: Courses that a check may stop; more make the levels more exact.
    """

    false_stops: float
    checks: int
    seed: int = 0
    each: int = EACH

    @property
    def relabellings(self) -> int:
        """How many are drawn, B."""
        return math.ceil(self.each * self.checks / self.false_stops) - 1

    def spend(self, check: int) -> int:
        """Return how many of the B + 1 courses may be stopped up to a check, counted from 1."""
        return int(self.false_stops * check / self.checks * (self.relabellings + 1) + SLACK)


@dataclass(frozen=True)
class Ruling:
    """What one check says.

    Args:
        sums: T of every relabelling, ascending.
        level: The p-value down to which a course that still goes is stopped here.
    """

    sums: Float64[np.ndarray, " labelling"]
    level: float

    def find_p_values(
        self, totals: Float64[np.ndarray, " course"]
    ) -> Float64[np.ndarray, " course"]:
        """Return the share of relabellings with a T as large, the one seen included."""
        below = np.searchsorted(self.sums, totals - SLACK, side="left")
        return (1 + len(self.sums) - below) / (len(self.sums) + 1)


class Course:
    """The relabellings of one training, check by check.

    Args:
        rule: The rule.
        is_training: Which images the model is trained on.
    """

    def __init__(self, rule: StopRule, is_training: Bool[np.ndarray, " case"]) -> None:
        self._rule = rule
        self._chosen = _relabel(rule, len(is_training), int(is_training.sum()))
        self._going = np.ones(len(self._chosen), dtype=bool)
        self._checks = 0

    def look(self, weights: Float64[np.ndarray, " case"]) -> Ruling:
        """Go on by one check, and say from where on a course is stopped at it.

        Args:
            weights: Evidence of every image.
        """
        self._checks += 1
        starts = range(0, len(self._chosen), GATHER)
        sums = np.concatenate(
            [weights[self._chosen[start : start + GATHER]].sum(axis=1) for start in starts]
        )
        allowed = self._rule.spend(self._checks) - int((~self._going).sum())
        if allowed < 1:
            return Ruling(np.sort(sums), 0.0)
        going = np.flatnonzero(self._going)
        highest = going[np.argsort(-sums[going], kind="stable")[:allowed]]
        self._going[highest] = False
        above = int((sums > sums[highest[-1]] + SLACK).sum())
        return Ruling(np.sort(sums), (1 + above) / (len(sums) + 1))


def _relabel(rule: StopRule, cases: int, training: int) -> Int[np.ndarray, "labelling training"]:
    """Choose the images that each relabelling calls training images."""
    rng, left = np.random.default_rng(rule.seed), rule.relabellings
    chosen, everyone = [], np.arange(cases, dtype=np.int32)
    while left:
        count = min(CHUNK, left)
        order, rows = np.tile(everyone, (count, 1)), np.arange(count)
        for place in range(training):  # the first steps of Fisher and Yates's shuffle
            other = rng.integers(place, cases, count)
            order[rows, other], order[:, place] = order[:, place], order[rows, other]
        chosen.append(order[:, :training].copy())
        left -= count
    return np.concatenate(chosen)
