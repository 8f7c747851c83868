import numpy as np
import pytest

from equipoise.monitoring.probe import Evidence
from equipoise.monitoring.split import combine_signals, name_images, score_ranks
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
    combined = combine_signals(evidence)
    ruling = Course(StopRule(false_stops=0.05, checks=50), is_training).look(combined)
    assert ruling.find_p_values(combined[None, :200].sum(axis=1)) <= ruling.level
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
