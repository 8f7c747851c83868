import numpy as np
import pytest

from equipoise.monitoring.probe import Evidence
from equipoise.monitoring.split import name_images, score_ranks, weigh_images
from equipoise.monitoring.stop_rule import Course, StopRule


def test_savage_scores_grow_with_the_rank_and_ties_share_one():
    scores = score_ranks(np.array([3.0, 1.0, 2.0, 2.0]))
    assert scores[1] < scores[2] == scores[3] < scores[0]
    np.testing.assert_allclose(scores, -np.log([0.125, 0.875, 0.5, 0.5]))
    assert score_ranks(np.arange(1000.0)).mean() == pytest.approx(1, abs=0.01)


def test_few_memorized_images_are_noticed_and_named():
    rng = np.random.default_rng(4)
    is_training = np.arange(700) < 200
    evidence = Evidence(rng.standard_normal(700), rng.standard_normal(700))
    evidence.spikiness[:25] += 6
    evidence.residual[:25] += 6
    weights = weigh_images([evidence])
    ruling = Course(StopRule(false_stops=0.05, checks=50), is_training).look(weights)
    assert ruling.find_p_values(weights[None, :200].sum(axis=1)) <= ruling.level
    naming = name_images(weights, is_training, fdr=0.05)
    assert naming.named[:25].all()
    assert naming.named[25:].sum() <= 4
    expected = (1 + (weights[200:] >= weights[0]).sum()) / 501
    assert naming.p_values[0] == expected


@pytest.mark.parametrize("checks", [2, 3, 10])
def test_the_gain_counts_from_the_mean_of_the_checks_before(checks):
    rng = np.random.default_rng(6)
    seen = [Evidence(rng.standard_normal(40), rng.standard_normal(40)) for _ in range(checks)]
    before = sum(check.residual for check in seen[:-1]) / (checks - 1)
    rank = (seen[-1].residual - before).argsort().argsort()
    np.testing.assert_allclose(weigh_images(seen), -np.log(1 - (rank + 0.5) / 40))


def test_an_image_that_was_memorized_long_ago_stays_named():
    rng = np.random.default_rng(8)
    is_training = np.arange(600) < 100
    ease = rng.standard_normal(600)
    seen = [Evidence(np.zeros(600), ease + 0.1 * rng.standard_normal(600)) for _ in range(40)]
    for evidence in seen[8:]:
        evidence.residual[:20] += 3
    assert name_images(weigh_images(seen), is_training, fdr=0.05).named[:20].all()


def test_an_image_that_was_always_easy_is_not_named_and_one_that_becomes_so_is():
    rng = np.random.default_rng(7)
    ease = 5 * rng.standard_normal(600)  # from image to image, whatever the training
    is_training = np.arange(600) < 100
    seen = [Evidence(np.zeros(600), ease + 0.1 * rng.standard_normal(600)) for _ in range(6)]
    for evidence in seen[3:]:
        evidence.residual[:10] += 4
    named = name_images(weigh_images(seen), is_training, fdr=0.05).named
    assert named[:10].sum() >= 8
    assert named[10:].sum() <= 1


def test_nothing_is_named_where_nothing_differs():
    rng = np.random.default_rng(5)
    is_training = np.arange(500) < 200
    named = [
        name_images(rng.exponential(size=500), is_training, fdr=0.05).named.any()
        for _ in range(60)
    ]
    assert np.mean(named) <= 0.15
