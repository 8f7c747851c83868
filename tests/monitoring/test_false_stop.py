import numpy as np
import pytest

from equipoise.monitoring.false_stop import measure_false_stops
from equipoise.monitoring.probe import Evidence
from equipoise.monitoring.split import weigh_images
from equipoise.monitoring.stop_rule import Course, StopRule

IS_TRAINING = np.arange(60) < 25


def draw(rng, checks=4, memorized=0):
    seen = [Evidence(rng.standard_normal(60), rng.standard_normal(60)) for _ in range(checks)]
    for evidence in seen:
        evidence.spikiness[:memorized] += 9
        evidence.residual[:memorized] += 9
    return seen


@pytest.mark.slow
def test_the_rate_is_that_of_the_rule_asked_one_training_at_a_time():
    seen = draw(np.random.default_rng(0))
    everybody = np.ones(60, bool)
    found = measure_false_stops(
        seen, IS_TRAINING, everybody, false_stops=0.4, relabellings=50, seed=3
    )
    labels = np.random.default_rng(3).permuted(np.tile(IS_TRAINING, (50, 1)), axis=1)
    stopped = []
    for drawn in labels:
        course = Course(StopRule(0.4, 4, each=10_000), IS_TRAINING)
        combined = [weigh_images(seen[: k + 1]) for k in range(4)]
        rulings = [(course.look(one), one[None, drawn].sum(axis=1)) for one in combined]
        stopped.append(any(r.find_p_values(total) <= r.level for r, total in rulings))
    assert found["value"] == np.mean(stopped)
    assert found["n"] == 50


def test_memorized_images_take_no_part():
    seen = draw(np.random.default_rng(1), memorized=8)
    rest = np.arange(60) >= 8
    found = measure_false_stops(seen, IS_TRAINING, rest, false_stops=0.1)
    assert found["n"] == 1000
    assert found["value"] <= 0.13
