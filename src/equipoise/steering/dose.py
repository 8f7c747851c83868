r"""Dose and response: numbers that say how a score follows the strength of steering.

`y_s(a)` is the score of seed s at strength a, with `a_0 = 0 < ... < a_K`; rows are seeds.

    monotonicity   Spearman's rank correlation of y with a, a seed at a time
    slope          least squares through all strengths, per unit of strength
    abruptness     K * max |y(a_k) - y(a_{k-1})| / (max y - min y):  1 a straight line, K one jump
    usable range   up to the last strength before drift or diversity leave their bounds

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space (Zhang et al.,
    2026), Sec. 4.2: the claim that is measured | arXiv 2512.20963
"""

import numpy as np
from jaxtyping import Float
from scipy import stats

Strengths = Float[np.ndarray, " strength"]
Scores = Float[np.ndarray, "seed strength"]


def correlate_ranks(strengths: Strengths, scores: Scores) -> Float[np.ndarray, " seed"]:
    """Return Spearman's correlation of every seed's scores with the strength; 0 if they stay."""
    ranks = stats.rankdata(scores, axis=1)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    order = stats.rankdata(strengths) - (len(strengths) + 1) / 2
    size = np.sqrt((ranks**2).sum(axis=1) * (order**2).sum())
    return np.divide(ranks @ order, size, out=np.zeros(len(scores)), where=size > 0)


def fit_slopes(strengths: Strengths, scores: Scores) -> Float[np.ndarray, " seed"]:
    """Return the least-squares slope of every seed's scores, per unit of strength."""
    centred = strengths - strengths.mean()
    return scores @ centred / (centred**2).sum()


def measure_abruptness(
    scores: Scores, *, floor: float | Float[np.ndarray, " seed"]
) -> Float[np.ndarray, " seed"]:
    """Return the abruptness of every seed; NaN where its scores move less than its `floor`."""
    span = scores.max(axis=1) - scores.min(axis=1)
    jump = np.abs(np.diff(scores, axis=1)).max(axis=1) * (scores.shape[1] - 1)
    moved = (span > floor) & (span > 0)
    return np.divide(jump, span, out=np.full(len(scores), np.nan), where=moved)


def find_usable(
    strengths: Strengths,
    drift: Float[np.ndarray, " strength"],
    diversity: Float[np.ndarray, " strength"],
    *,
    cap: float,
    floor: float,
) -> float:
    """Return the largest strength up to which drift stays below and diversity above its bound."""
    good = (drift <= cap) & (diversity >= floor)
    count = len(good) if bool(good.all()) else int(np.argmin(good))
    return float(strengths[max(count - 1, 0)])


def find_drift_at_gain(
    gain: Float[np.ndarray, " strength"], drift: Float[np.ndarray, " strength"], wanted: float
) -> float | None:
    """Return the drift where the mean gain first reaches a value; None where it never does.

    Between two strengths both are taken as straight lines.
    """
    above = np.flatnonzero(gain >= wanted)
    if not len(above):
        return None
    place = int(above[0])
    if place == 0:
        return float(drift[0])
    low, high = gain[place - 1], gain[place]
    part = (wanted - low) / (high - low)
    return float(drift[place - 1] + part * (drift[place] - drift[place - 1]))
