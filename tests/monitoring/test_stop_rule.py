import itertools

import numpy as np
import pytest

from equipoise.monitoring.split import score_ranks
from equipoise.monitoring.stop_rule import Course, StopRule

IS_TRAINING = np.arange(60) < 25


def find_stop(rule, chosen, path, is_training):
    """Return the first check that stops a training, and the level of each; loops, no arrays."""
    going, stop, levels = {*range(len(chosen))}, None, []
    for check, values in enumerate(path, start=1):
        sums = [float(values[rows].sum()) for rows in chosen]
        seen = float(values[is_training].sum())
        may = int(rule.false_stops * check / rule.checks * (len(sums) + 1) + 1e-9)
        may -= len(sums) - len(going)
        stopped = sorted(going, key=lambda row: -sums[row])[:may]
        threshold = sums[stopped[-1]] if stopped else np.inf
        levels.append((1 + sum(s > threshold + 1e-9 for s in sums)) / (len(sums) + 1)
                      if stopped else 0)  # fmt: skip
        if stop is None and seen > threshold + 1e-9:
            stop = check
        going -= {*stopped}
    return stop, levels


def test_a_relabelling_is_any_choice_of_as_many_images():
    chosen = Course(StopRule(false_stops=0.1, checks=40, seed=2), np.arange(7) < 3)._chosen
    assert chosen.shape == (7999, 3)
    names, counts = np.unique(np.sort(chosen, axis=1), axis=0, return_counts=True)
    assert len(names) == 35  # 7 choose 3, and no image twice
    assert (names[:, 1:] > names[:, :-1]).all()
    assert np.abs(counts - 7999 / 35).max() < 4.5 * (7999 / 35) ** 0.5


def test_the_p_value_is_that_of_all_relabellings():
    combined = np.array([5.0, 4.0, 1.0, 0.5, 2.0, 0.2, 0.1])
    sums = [sum(rows) for rows in itertools.combinations(combined, 3)]
    exact = np.mean([total >= combined[:3].sum() - 1e-9 for total in sums])
    rule = StopRule(false_stops=0.05, checks=20)
    assert rule.relabellings == 7999
    ruling = Course(rule, np.arange(7) < 3).look(combined)
    found = ruling.find_p_values(combined[None, :3].sum(axis=1))[0]
    assert found == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 8000) ** 0.5)


@pytest.mark.parametrize("memorized", [0, 6])
def test_the_rule_is_that_of_loops(memorized):
    rng = np.random.default_rng(memorized)
    path = rng.standard_normal((4, 60)).cumsum(axis=0)
    path[2:, :memorized] += 3
    rule = StopRule(false_stops=0.2, checks=4, seed=5)
    course = Course(rule, IS_TRAINING)
    stop, levels = find_stop(rule, course._chosen, path, IS_TRAINING)
    rulings = [course.look(values) for values in path]
    assert [ruling.level for ruling in rulings] == levels
    stops = [
        check for check, (ruling, values) in enumerate(zip(rulings, path, strict=True), start=1)
        if ruling.find_p_values(values[None, IS_TRAINING].sum(axis=1))[0] <= ruling.level
    ]  # fmt: skip
    assert (stops or [None])[0] == stop
    assert (stop == 3) == bool(memorized)


def test_checks_that_say_the_same_have_the_level_of_all_of_them():
    rule, values = StopRule(false_stops=0.1, checks=10), np.random.default_rng(1).random(60)
    course = Course(rule, IS_TRAINING)
    levels = [course.look(values).level for _ in range(10)]
    np.testing.assert_allclose(levels, 0.01 * np.arange(1, 11), atol=1e-12)


def test_levels_fall_again_when_checks_say_something_else():
    rule, rng = StopRule(false_stops=0.1, checks=10), np.random.default_rng(3)
    course, same = Course(rule, IS_TRAINING), rng.random(60)
    levels = [course.look(values).level for values in [same] * 5 + [rng.random(60)] * 1]
    assert levels[5] < levels[4] / 2
    assert levels[5] >= 0.01


def test_where_all_images_are_equal_nothing_stops():
    course, values = Course(StopRule(false_stops=0.5, checks=2), IS_TRAINING), np.ones(60)
    for _ in range(2):
        ruling = course.look(values)
        assert ruling.find_p_values(values[None, IS_TRAINING].sum(axis=1))[0] == 1 > ruling.level


def test_checks_that_have_nothing_in_common_share_the_rate_evenly():
    rule, rng = StopRule(false_stops=0.1, checks=10), np.random.default_rng(2)
    course = Course(rule, IS_TRAINING)
    levels = [course.look(rng.random(60)).level for _ in range(10)]
    np.testing.assert_allclose(levels, 0.01, rtol=0.35)


def test_the_rule_keeps_its_rate_over_a_whole_training():
    """Images that drift together, never by their label, stop as often as promised, and no more."""
    rng = np.random.default_rng(3)
    checks, trainings = 5, 300
    rule = StopRule(false_stops=0.2, checks=checks, seed=1)
    stopped = 0
    for _ in range(trainings):
        course, path = Course(rule, IS_TRAINING), rng.standard_normal((checks, 60)).cumsum(axis=0)
        combined = [score_ranks(values) for values in path]
        rulings = [(course.look(one), one[None, IS_TRAINING].sum(axis=1)) for one in combined]
        stopped += any(ruling.find_p_values(total)[0] <= ruling.level for ruling, total in rulings)
    error = (0.2 * 0.8 / trainings) ** 0.5
    assert 0.2 - 3.5 * error <= stopped / trainings <= 0.2 + 3.5 * error
