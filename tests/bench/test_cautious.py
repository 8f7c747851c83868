"""Cautious intervals: exact cases, a slow twin, and how often they cover."""

import numpy as np
import pytest
from coverage import SETTINGS, simulate

from equipoise.bench.cautious import estimate_area, estimate_area_difference
from equipoise.bench.interval import auroc

GROUPS = np.repeat(np.arange(8), 5)
NEGATIVES = np.random.default_rng(1).normal(0, 1, 60)
COPIES = np.random.default_rng(2).normal(1.5, 1, 40)


def test_a_perfect_detector_is_not_certain():
    """With all eight areas one, only the added image moves the lower end: Beta(1, 8), halved."""
    found = estimate_area(np.full(40, 9.0), GROUPS, NEGATIVES, resamples=20_000)
    assert (found["value"], found["high"]) == (1.0, pytest.approx(1.0))
    share = 1 - 0.025 ** (1 / 8)  # the 97.5 % quantile of Beta(1, 8)
    assert found["low"] == pytest.approx(1 - share / 2, abs=0.01)


def test_the_interval_is_that_of_a_slow_loop():
    found = estimate_area(COPIES, GROUPS, NEGATIVES, resamples=4000)
    generator = np.random.default_rng(5)
    kernel = (COPIES[:, None] > NEGATIVES).astype(float)
    lows, highs = [], []
    for _ in range(4000):
        image, other = generator.dirichlet(np.ones(9)), generator.dirichlet(np.ones(60))
        top = sum(image[g] * (kernel[GROUPS == g] @ other).sum() for g in range(8))
        lows.append((top + image[8] * 5 * 0.5) / 5)
        highs.append((top + image[8] * 5 * 1.0) / 5)
    assert found["value"] == pytest.approx(auroc(COPIES, NEGATIVES))
    assert found["low"] == pytest.approx(np.percentile(lows, 2.5), abs=0.01)
    assert found["high"] == pytest.approx(np.percentile(highs, 97.5), abs=0.01)
    assert (found["n"], found["groups"]) == (100, 8)


def test_a_difference_is_paired_and_turns_around():
    noise = np.random.default_rng(3).normal(0, 0.3, 40)
    one = estimate_area_difference(COPIES, NEGATIVES, COPIES + noise, NEGATIVES, GROUPS)
    two = estimate_area_difference(COPIES + noise, NEGATIVES, COPIES, NEGATIVES, GROUPS)
    assert one["value"] == pytest.approx(-two["value"])
    assert one["low"] <= one["value"] <= one["high"]
    single = estimate_area(COPIES, GROUPS, NEGATIVES)
    assert one["high"] - one["low"] < single["high"] - single["low"]
    same = estimate_area_difference(COPIES, NEGATIVES, COPIES, NEGATIVES, GROUPS)
    assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)


def test_too_few_images_have_no_interval():
    one = estimate_area(np.ones(3), np.zeros(3, dtype=np.int64), NEGATIVES)
    assert (one["low"], one["high"], one["groups"]) == (None, None, 1)
    nothing = np.zeros(0, dtype=np.int64)
    assert estimate_area(np.ones(0), nothing, NEGATIVES)["value"] is None
    assert estimate_area_difference(np.ones(0), NEGATIVES, np.ones(0), NEGATIVES, nothing) == {
        "value": None, "low": None, "high": None, "n": 60, "groups": 0,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("area", [0.95, 0.99])
def test_it_covers_where_the_percentile_bootstrap_does_not(area):
    row = simulate(SETTINGS[0], area, simulations=100)
    assert row.cautious >= 0.93
    assert row.percentile < row.cautious
