import numpy as np
import pytest
from equipoise.bench.interval import Positives, auroc, estimate, exact_rate

RNG = np.random.default_rng(0)


def area(copies, negatives):
    return auroc(copies[:, 0], negatives[:, 0])


def test_auroc_is_the_share_of_pairs_in_order_ties_counting_half():
    copies, negatives = RNG.integers(0, 6, 30).astype(float), RNG.integers(0, 5, 40).astype(float)
    pairs = [(c > n) + 0.5 * (c == n) for c in copies for n in negatives]
    assert auroc(copies, negatives) == pytest.approx(np.mean(pairs))


def test_taking_groups_returns_all_their_copies_as_often_as_chosen():
    positives = Positives(np.arange(6.0)[:, None], np.array([7, 3, 7, 9, 3, 7]))
    assert positives.num_groups == 3
    assert sorted(positives.take(np.array([1, 1]))[:, 0]) == [0, 0, 2, 2, 5, 5]
    assert sorted(positives.take(np.array([0, 2]))[:, 0]) == [1, 3, 4]


def test_the_interval_is_wider_when_copies_are_of_few_images():
    scores = np.repeat(RNG.normal(1, 1, 12), 20)[:, None]
    negatives = RNG.normal(0, 1, (300, 1))
    grouped = estimate(area, Positives(scores, np.repeat(np.arange(12), 20)), negatives)
    single = estimate(area, Positives(scores, np.arange(240)), negatives)
    assert grouped["high"] - grouped["low"] > 2 * (single["high"] - single["low"])
    assert grouped["groups"] == 12
    assert single["groups"] == 240
    assert grouped["value"] == single["value"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    from scipy import stats

    truth = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = estimate(
            area,
            Positives(rng.normal(1, 1, (60, 1)), np.arange(60)),
            rng.normal(0, 1, (80, 1)),
            resamples=200,
        )
        covered += found["low"] <= truth <= found["high"]
    assert covered >= 34


def test_one_image_alone_has_no_interval_and_none_has_no_value():
    negatives = RNG.normal(size=(10, 1))
    one = estimate(area, Positives(np.ones((4, 1)), np.zeros(4, dtype=np.int64)), negatives)
    assert one["value"] is not None
    assert one["low"] is None
    none = estimate(area, Positives(np.ones((0, 1)), np.zeros(0, dtype=np.int64)), negatives)
    assert (none["value"], none["low"], none["groups"]) == (None, None, 0)


def test_exact_interval_is_that_of_clopper_and_pearson():
    from scipy import stats

    found = exact_rate(3, 200)
    assert found["low"] == pytest.approx(stats.beta.ppf(0.025, 3, 198))
    assert found["high"] == pytest.approx(stats.beta.ppf(0.975, 4, 197))
    assert exact_rate(0, 50)["low"] == 0
