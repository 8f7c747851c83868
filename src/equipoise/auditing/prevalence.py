r"""How many of the items are copies, given how many are flagged.

Of `n` items `c` are copies. A copy is flagged with probability `t` (the sensitivity), another
item with probability `f` (the false-positive rate), so the number flagged is

    M = Binomial(c, t) + Binomial(n - c, f)

and the point estimate is Rogan and Gladen's `(M/n - f) / (t - f)`, kept between 0 and 1. Neither
rate is known exactly: `f` is Beta(k + 1, n_cal - k) given the calibration, `t` has the posterior
of `detection/sensitivity.py` for copies of *other* training images than those it was measured on.
The interval inverts the test: it holds every `c` under which
neither as few nor as many flags as were seen is a 2.5 % event. So it has its coverage at rates
near zero too, where normal intervals fail. At the upper end the tail is taken relative to that of
no copies at all (CLs): fewer false flags than expected must not shut out the copies nobody could
have seen.

Where no copies are known `t` is unknown, and every flag could be all there is or the tip of an
iceberg: only the lower end is given, for `t = 1`.

References:
    Presentation of Search Results: the CLs Technique (Read, 2002)
    Estimating Prevalence from the Results of a Screening Test (Rogan and Gladen, 1978)
    Conformal calibration: see `detection/calibration.py`
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from equipoise.detection import Calibration

DRAWS = 20_000
TAIL = 0.025
POWER = 0.95

Estimate = dict[str, float | int | None]


def expect_false_flags(calibration: Calibration, n: int) -> Estimate:
    """Return the flags among `n` items when none is a copy: mean and 95 % prediction interval."""
    low, high = calibration.allowed_false_positives(n)
    return {"value": _mean_false_rate(calibration) * n, "low": low, "high": high, "n": n}


def estimate_copy_rate(calibration: Calibration, *, flagged: int, n: int) -> Estimate:
    """Estimate the share of copies among `n` items of which `flagged` are flagged.

    Returns:
        `{value, low, high, n}`; value and high are None where the calibration knows no copies.
    """
    pile = _Pile.build(calibration, n)
    low = pile.find_first(lambda flags: float((flags >= flagged).mean()) > TAIL)
    sensitivity = calibration.sensitivity()
    if sensitivity is None:
        return {"value": None, "low": _share(low, n), "high": None, "n": n}
    # The first count under which so few flags would be rare lies one above the upper end.
    rare = TAIL * float((pile.flag(0) <= flagged).mean())
    beyond = pile.find_first(lambda flags: float((flags <= flagged).mean()) <= rare)
    high = n if beyond is None else max(beyond - 1, 0)
    false_rate = _mean_false_rate(calibration)
    gain = sensitivity.value - false_rate
    value = (flagged / n - false_rate) / gain if gain > 0 else 0.0
    inside = min(max(value, _share(low, n)), high / n)
    return {"value": inside, "low": _share(low, n), "high": high / n, "n": n}


def find_detection_limit(calibration: Calibration, n: int) -> float | None:
    """Return the smallest share of copies that an audit of `n` items would notice.

    Noticed means that the lower end of the estimated share lies above zero, in 95 % of audits.
    None where the calibration knows no copies, or not even `n` copies would be noticed.
    """
    if calibration.sensitivity() is None:
        return None
    pile = _Pile.build(calibration, n)
    alarm = int(np.quantile(pile.flag(0), 1 - TAIL, method="higher")) + 1
    count = pile.find_first(lambda flags: float((flags >= alarm).mean()) >= POWER)
    return None if count is None else count / n


@dataclass(frozen=True)
class _Pile:
    """Simulated audits of `n` items: one pair of rates and one seed each."""

    n: int
    found: np.ndarray
    false: np.ndarray

    @classmethod
    def build(cls, calibration: Calibration, n: int) -> "_Pile":
        rng = np.random.default_rng(0)
        k = calibration.allowed_above
        sensitivity = calibration.sensitivity()
        found = np.ones(DRAWS) if sensitivity is None else sensitivity.draw_other(rng, DRAWS)
        return cls(n, found, rng.beta(k + 1, calibration.n - k, DRAWS))

    def flag(self, copies: int) -> np.ndarray:
        """Draw the number of flags when `copies` of the items are copies."""
        rng = np.random.default_rng(1)  # the same for every count, so that bisection is smooth
        return rng.binomial(copies, self.found) + rng.binomial(self.n - copies, self.false)

    def find_first(self, holds: Callable[[np.ndarray], bool]) -> int | None:
        """Find the smallest number of copies from which on a condition on the flags holds."""
        if not holds(self.flag(self.n)):
            return None
        low, high = -1, self.n
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(self.flag(middle)) else (middle, high)
        return high


def _mean_false_rate(calibration: Calibration) -> float:
    return (calibration.allowed_above + 1) / (calibration.n + 1)


def _share(count: int | None, n: int) -> float:
    """Return the lower end; more flags than even `n` copies explain leave it at all of them."""
    return 1.0 if count is None else count / n
