"""Intervals: exact cases, a slow twin, and how often they cover."""

import numpy as np
import pytest
from coverage import SETTINGS, simulate_area, simulate_found, simulate_pair
from scipy import stats

from equipoise.bench.interval import (
    auroc,
    estimate_auroc,
    estimate_difference,
    estimate_found_difference,
    estimate_sensitivity,
    exact_rate,
)

GROUPS = np.repeat(np.arange(8), 5)
NEGATIVES = np.random.default_rng(1).normal(0, 1, 60)
COPIES = np.random.default_rng(2).normal(1.5, 1, 40)
NOTHING = np.zeros(0, dtype=np.int64)


def test_auroc_is_the_share_of_pairs_in_order_ties_counting_half():
    generator = np.random.default_rng(0)
    copies, negatives = (generator.integers(0, 6, n).astype(float) for n in (30, 40))
    pairs = [(c > n) + 0.5 * (c == n) for c in copies for n in negatives]
    assert auroc(copies, negatives) == pytest.approx(np.mean(pairs))


def test_a_perfect_detector_is_not_certain():
    """With all eight areas one, only the added image moves the lower end: Beta(1, 8), halved."""
    found = estimate_auroc(np.full(40, 9.0), GROUPS, NEGATIVES, resamples=20_000)
    assert (found["value"], found["high"]) == (1.0, pytest.approx(1.0))
    share = 1 - 0.025 ** (1 / 8)  # the 97.5 % quantile of Beta(1, 8)
    assert found["low"] == pytest.approx(1 - share / 2, abs=0.01)


def test_copies_that_are_all_found_have_the_exact_interval_of_as_many_images():
    found = estimate_sensitivity(
        np.full(40, 9.0), GROUPS, NEGATIVES, allowed_above=0, resamples=20_000
    )
    exact = exact_rate(8, 8)
    assert (found["value"], found["high"]) == (1.0, pytest.approx(1.0))
    assert found["low"] == pytest.approx(exact["low"], abs=0.01)
    assert (found["n"], found["groups"]) == (40, 8)


def test_the_threshold_leaves_as_many_negatives_above_as_allowed():
    copies = np.sort(NEGATIVES)[-8:] + 1e-9  # above the eight largest, one each
    found = estimate_sensitivity(copies, np.arange(8), NEGATIVES, allowed_above=3)
    assert found["value"] == 4 / 8


def test_the_interval_is_that_of_a_slow_loop():
    found = estimate_auroc(COPIES, GROUPS, NEGATIVES, resamples=4000)
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
    one = estimate_difference(COPIES, NEGATIVES, COPIES + noise, NEGATIVES, GROUPS)
    two = estimate_difference(COPIES + noise, NEGATIVES, COPIES, NEGATIVES, GROUPS)
    assert one["value"] == pytest.approx(-two["value"])
    assert one["low"] == pytest.approx(-two["high"], abs=0.01)
    assert one["low"] <= one["value"] <= one["high"]
    single = estimate_auroc(COPIES, GROUPS, NEGATIVES)
    assert one["high"] - one["low"] < single["high"] - single["low"]
    same = estimate_difference(COPIES, NEGATIVES, COPIES, NEGATIVES, GROUPS)
    assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)


def test_a_difference_of_copies_found_is_paired_and_turns_around():
    generator = np.random.default_rng(4)
    one, two = (generator.random(40) < share for share in (0.95, 0.2))
    found = estimate_found_difference(one, two, GROUPS)
    assert found["value"] == pytest.approx(one.mean() - two.mean())
    assert 0 < found["low"] < found["value"] < found["high"]
    assert (found["n"], found["groups"]) == (40, 8)
    back = estimate_found_difference(two, one, GROUPS)
    assert found["low"] == pytest.approx(-back["high"], abs=0.02)
    none = estimate_found_difference(one[:0], two[:0], NOTHING)
    assert (none["value"], none["low"], none["n"]) == (None, None, 0)


def test_the_interval_is_wider_when_copies_are_of_few_images():
    scores = np.repeat(np.random.default_rng(0).normal(1, 1, 8), 5)
    grouped = estimate_auroc(scores, GROUPS, NEGATIVES)
    single = estimate_auroc(scores, np.arange(40), NEGATIVES)
    assert grouped["high"] - grouped["low"] > 1.5 * (single["high"] - single["low"])
    assert grouped["value"] == single["value"]


def test_too_few_images_have_no_interval_and_none_has_no_value():
    one = estimate_auroc(np.ones(3), np.zeros(3, dtype=np.int64), NEGATIVES)
    assert (one["low"], one["high"], one["groups"]) == (None, None, 1)
    empty = {"value": None, "low": None, "high": None, "groups": 0}
    assert estimate_auroc(np.ones(0), NOTHING, NEGATIVES) == empty | {"n": 60}
    pair = (np.ones(0), NEGATIVES)
    assert estimate_difference(*pair, *pair, NOTHING) == empty | {"n": 60}
    found = estimate_sensitivity(np.ones(0), NOTHING, NEGATIVES, allowed_above=1)
    assert found == empty | {"n": 0}


def test_exact_interval_is_that_of_clopper_and_pearson():
    found = exact_rate(3, 200)
    assert found["low"] == pytest.approx(stats.beta.ppf(0.025, 3, 198))
    assert found["high"] == pytest.approx(stats.beta.ppf(0.975, 4, 197))
    assert exact_rate(0, 50)["low"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=["alike", "unlike"])
def test_intervals_cover_where_the_percentile_bootstrap_does_not(setting):
    for row in (
        simulate_area(setting, 0.99, simulations=150),
        simulate_found(setting, 0.95, simulations=150),
    ):
        assert row.covers >= 0.93
        assert row.percentile < row.covers - 0.05


@pytest.mark.slow
def test_the_end_of_a_difference_towards_zero_holds():
    for areas in ((0.98, 0.98), (0.99, 0.96)):
        assert simulate_pair(SETTINGS[1], areas, simulations=150).too_high <= 0.05
