import numpy as np
import pytest
from scipy import stats

from equipoise.bench.interval import (
    auroc,
    estimate_auroc,
    estimate_difference,
    estimate_sensitivity,
    exact_rate,
)

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(12), 20)


def test_auroc_is_the_share_of_pairs_in_order_ties_counting_half():
    copies, negatives = RNG.integers(0, 6, 30).astype(float), RNG.integers(0, 5, 40).astype(float)
    pairs = [(c > n) + 0.5 * (c == n) for c in copies for n in negatives]
    assert auroc(copies, negatives) == pytest.approx(np.mean(pairs))


def slow_interval(statistic, groups, num_negatives, resamples=1000):
    """Resample one at a time, copies gathered group by group."""
    rng = np.random.default_rng(9)
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    values = []
    for _ in range(resamples):
        chosen = rng.integers(0, len(members), len(members))
        rows = rng.integers(0, num_negatives, num_negatives)
        values.append(statistic(np.concatenate([members[g] for g in chosen]), rows))
    return np.percentile(values, [2.5, 97.5])


@pytest.fixture(scope="module")
def data():
    centres = np.repeat(RNG.normal(1.2, 0.8, 12), 20)
    copies = np.round(centres + RNG.normal(0, 0.5, 240), 1)  # rounded: with ties
    return copies, np.round(RNG.normal(0, 1, 300), 1)


@pytest.mark.slow
def test_the_interval_of_the_area_is_that_of_a_slow_bootstrap(data):
    copies, negatives = data
    found = estimate_auroc(copies, GROUPS, negatives)
    slow = slow_interval(lambda c, n: auroc(copies[c], negatives[n]), GROUPS, 300)
    assert found["value"] == pytest.approx(auroc(copies, negatives))
    assert (found["low"], found["high"]) == pytest.approx(slow, abs=0.015)
    assert (found["n"], found["groups"]) == (540, 12)


def test_the_interval_of_a_difference_is_paired(data):
    copies, negatives = data
    other = copies + RNG.normal(0, 0.05, 240), negatives + RNG.normal(0, 0.05, 300)
    found = estimate_difference(copies, negatives, *other, GROUPS)
    single = estimate_auroc(copies, GROUPS, negatives)
    assert found["value"] == pytest.approx(auroc(copies, negatives) - auroc(*other))
    assert found["high"] - found["low"] < 0.3 * (single["high"] - single["low"])


def test_the_interval_of_the_sensitivity_is_that_of_a_slow_bootstrap(data):
    copies, negatives = data

    def share(c, n):
        return (copies[c] > np.sort(negatives[n])[-6]).mean()

    found = estimate_sensitivity(copies, GROUPS, negatives, allowed_above=5)
    assert found["value"] == pytest.approx(share(np.arange(240), np.arange(300)))
    slow = slow_interval(share, GROUPS, 300)
    assert (found["low"], found["high"]) == pytest.approx(slow, abs=0.06)
    assert found["n"] == 240


def test_the_interval_is_wider_when_copies_are_of_few_images():
    scores = np.repeat(RNG.normal(1, 1, 12), 20)
    negatives = RNG.normal(0, 1, 300)
    grouped = estimate_auroc(scores, GROUPS, negatives)
    single = estimate_auroc(scores, np.arange(240), negatives)
    assert grouped["high"] - grouped["low"] > 2 * (single["high"] - single["low"])
    assert grouped["value"] == single["value"]


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    truth = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = estimate_auroc(rng.normal(1, 1, 60), np.arange(60), rng.normal(0, 1, 80))
        covered += found["low"] <= truth <= found["high"]
    assert covered >= 88


def test_one_image_alone_has_no_interval_and_none_has_no_value():
    negatives = RNG.normal(size=10)
    one = estimate_auroc(np.ones(4), np.zeros(4, dtype=np.int64), negatives)
    assert one["value"] is not None
    assert one["low"] is None
    nothing = np.zeros(0, dtype=np.int64)
    none = estimate_auroc(np.ones(0), nothing, negatives)
    assert (none["value"], none["low"], none["groups"]) == (None, None, 0)
    assert estimate_sensitivity(np.ones(0), nothing, negatives, allowed_above=1)["value"] is None


def test_exact_interval_is_that_of_clopper_and_pearson():
    found = exact_rate(3, 200)
    assert found["low"] == pytest.approx(stats.beta.ppf(0.025, 3, 198))
    assert found["high"] == pytest.approx(stats.beta.ppf(0.975, 4, 197))
    assert exact_rate(0, 50)["low"] == 0
