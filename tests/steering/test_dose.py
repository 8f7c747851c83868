import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from equipoise.steering.dose import (
    correlate_ranks,
    find_drift_at_gain,
    find_usable,
    fit_slopes,
    measure_abruptness,
)

STRENGTHS = np.array([0.0, 0.25, 0.5, 1.0, 2.0])


@given(st.integers(0, 999))
def test_ranks_and_slopes_are_scipys(seed):
    scores = np.random.default_rng(seed).normal(size=(3, 5)).round(1)  # with ties
    for row, rho, slope in zip(
        scores, correlate_ranks(STRENGTHS, scores), fit_slopes(STRENGTHS, scores), strict=True
    ):
        assert rho == pytest.approx(stats.spearmanr(STRENGTHS, row).statistic)
        assert slope == pytest.approx(stats.linregress(STRENGTHS, row).slope)


def test_scores_that_stay_have_no_order_no_slope_and_no_abruptness():
    scores = np.full((2, 5), 0.3)
    assert correlate_ranks(STRENGTHS, scores).tolist() == [0, 0]
    assert fit_slopes(STRENGTHS, scores) == pytest.approx([0, 0])
    assert np.isnan(measure_abruptness(scores, floor=0.0)).all()


def test_a_line_has_abruptness_one_and_a_step_has_the_number_of_steps():
    line, step, small = np.linspace(0, 1, 5), [0, 0, 1.0, 1, 1], [0, 0, 0.01, 0, 0]
    found = measure_abruptness(np.array([line, step, small]), floor=0.05)
    assert found[:2] == pytest.approx([1, 4])
    assert np.isnan(found[2])


def test_the_usable_range_ends_before_the_first_strength_out_of_bounds():
    ones = np.ones(5)
    drift = np.array([0, 0.2, 0.4, 1.2, 0.5])
    assert find_usable(STRENGTHS, drift, ones, cap=1.0, floor=0.5) == 0.5
    assert find_usable(STRENGTHS, 0 * drift, ones, cap=1.0, floor=0.5) == 2.0
    assert find_usable(STRENGTHS, 0 * drift, ones - drift, cap=1.0, floor=0.7) == 0.25
    assert find_usable(STRENGTHS, ones + 1, ones, cap=1.0, floor=0.5) == 0.0


def test_drift_is_read_where_the_gain_is_reached():
    gain, drift = np.array([0, 0.2, 0.6]), np.array([0, 0.1, 0.5])
    assert find_drift_at_gain(gain, drift, 0.4) == pytest.approx(0.3)
    assert find_drift_at_gain(gain, drift, 0.0) == 0.0
    assert find_drift_at_gain(gain, drift, 0.7) is None
