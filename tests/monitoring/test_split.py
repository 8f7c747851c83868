import itertools

import numpy as np
import pytest

from equipoise.monitoring.probe import Evidence
from equipoise.monitoring.split import StopRule, combine_signals, name_images, score_ranks


def test_savage_scores_grow_with_the_rank_and_ties_share_one():
    scores = score_ranks(np.array([3.0, 1.0, 2.0, 2.0]))
    assert scores[1] < scores[2] == scores[3] < scores[0]
    np.testing.assert_allclose(scores, -np.log([0.125, 0.875, 0.5, 0.5]))
    assert score_ranks(np.arange(1000.0)).mean() == pytest.approx(1, abs=0.01)


def test_the_p_value_is_that_of_all_relabellings():
    combined = np.array([5.0, 4.0, 1.0, 0.5, 2.0, 0.2, 0.1])
    is_training = np.array([True, True, True, False, False, False, False])
    sums = [sum(rows) for rows in itertools.combinations(combined, 3)]
    exact = np.mean([total >= combined[:3].sum() - 1e-9 for total in sums])
    rule = StopRule(false_stops=0.05, checks=200)
    assert rule.relabellings == 7999
    found = rule.p_value(combined, is_training)
    assert found == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 8000) ** 0.5)


def test_the_rule_keeps_its_rate_over_a_whole_training():
    """Images that drift together, never by their label, stop at most as often as promised."""
    rng = np.random.default_rng(3)
    checks, trainings = 5, 120
    rule = StopRule(false_stops=0.2, checks=checks, seed=1)
    is_training = np.arange(60) < 25
    stopped = 0
    for _ in range(trainings):
        path = rng.standard_normal((checks, 60)).cumsum(axis=0)
        found = [rule.p_value(score_ranks(values), is_training) for values in path]
        stopped += min(found) <= rule.level
    assert stopped / trainings <= 0.2 + 3 * (0.2 * 0.8 / trainings) ** 0.5


def test_few_memorized_images_are_noticed_and_named():
    rng = np.random.default_rng(4)
    is_training = np.arange(700) < 200
    evidence = Evidence(rng.standard_normal(700), rng.standard_normal(700))
    evidence.spikiness[:25] += 6
    evidence.residual[:25] += 6
    combined = combine_signals(evidence)
    rule = StopRule(false_stops=0.05, checks=50)
    assert rule.p_value(combined, is_training) <= rule.level
    naming = name_images(combined, is_training, fdr=0.05)
    assert naming.named[:25].all()
    assert naming.named[25:].sum() <= 4
    expected = (1 + (combined[200:] >= combined[0]).sum()) / 501
    assert naming.p_values[0] == expected


def test_nothing_is_named_where_nothing_differs():
    rng = np.random.default_rng(5)
    is_training = np.arange(500) < 200
    named = [
        name_images(rng.exponential(size=500), is_training, fdr=0.05).named.any()
        for _ in range(60)
    ]
    assert np.mean(named) <= 0.15
