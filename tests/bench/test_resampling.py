import numpy as np
import pytest

from equipoise.bench.resampling import (
    draw_means,
    estimate_mean,
    estimate_median,
    estimate_ratio,
    estimate_shift,
    expand_tail,
)

VALUES = np.random.default_rng(0).normal(2, 1, 400)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    found = estimate_mean(VALUES)
    half = 1.96 * VALUES.std() / 20
    assert found["value"] == pytest.approx(VALUES.mean())
    assert found["low"] == pytest.approx(VALUES.mean() - half, abs=0.02)
    assert found["high"] == pytest.approx(VALUES.mean() + half, abs=0.02)
    assert (found["n"], found["groups"]) == (400, 400)


def test_groups_are_drawn_whole():
    """Items that repeat their group's value carry no more than the groups do."""
    groups = np.arange(20)
    values = VALUES[:20]
    repeated = estimate_mean(np.repeat(values, 50), np.repeat(groups, 50))
    once = estimate_mean(values, groups)
    assert [repeated[k] for k in ("value", "low", "high")] == pytest.approx(
        [once[k] for k in ("value", "low", "high")]
    )
    assert (repeated["n"], repeated["groups"]) == (1000, 20)
    uneven = draw_means(np.array([0.0, 0, 0, 1]), np.array([0, 0, 0, 1]))
    assert set(np.round(uneven, 4)) == {0, 0.25, 1}


def test_medians_ratios_and_differences_lie_in_their_intervals():
    median = estimate_median(VALUES)
    assert median["low"] < np.median(VALUES) == median["value"] < median["high"]
    ratio = estimate_ratio(VALUES, VALUES[:200] / 4)
    assert ratio["low"] < 4 < ratio["high"]
    shift = estimate_shift(VALUES, np.arange(400) // 2, VALUES[:100] - 1)
    assert shift["low"] < 1.0 + VALUES.mean() - VALUES[:100].mean() < shift["high"]
    assert (shift["n"], shift["groups"]) == (500, 200)


def test_what_cannot_be_estimated_is_none():
    nothing = np.array([])
    assert estimate_mean(nothing)["value"] is None
    assert estimate_median(nothing)["value"] is None
    assert estimate_ratio(VALUES, np.zeros(3))["value"] is None
    assert estimate_shift(nothing, nothing.astype(int), VALUES)["value"] is None
    alone = estimate_mean(np.array([1.0, 2.0]), np.array([7, 7]))
    assert (alone["value"], alone["low"], alone["groups"]) == (1.5, None, 1)


def test_few_groups_leave_out_less_than_many():
    assert expand_tail(10**6) == pytest.approx(0.025, abs=1e-4)
    tails = [expand_tail(count) for count in (3, 6, 12, 50)]
    assert tails == sorted(tails)
    assert tails[2] < 0.012


def test_the_interval_of_a_dozen_groups_covers_where_the_plain_one_does_not():
    generator = np.random.default_rng(3)
    told = []
    for _ in range(400):
        values = generator.normal(0, 1, 8)
        found = estimate_mean(values)
        low, high = np.quantile(draw_means(values, None), [0.025, 0.975])
        told.append((found["low"] <= 0 <= found["high"], low <= 0 <= high))
    covers, plain = np.mean(told, axis=0)
    assert covers >= 0.93
    assert plain < 0.92
