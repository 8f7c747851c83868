import numpy as np
import pytest
from scipy import stats

from equipoise.auditing import prevalence
from equipoise.auditing.prevalence import (
    estimate_copy_rate,
    expect_false_flags,
    find_detection_limit,
)
from equipoise.detection import Calibration, KnownCopies, Spikiness

DETECTOR = Spikiness(sites=("a:in",), sigma=0.1)


def build_calibration(rng, *, n=2000, found=0.8, images=20, per_image=10, spread=0.0):
    """Scores are standard normal; a copy scores 10 or -10, with one chance an image."""
    chances = np.clip(found + spread * rng.standard_normal(images), 0, 1)
    copies = tuple(
        KnownCopies(image=i, scores=tuple(np.where(rng.random(per_image) < c, 10.0, -10.0)))
        for i, c in enumerate(chances)
    )
    return Calibration(
        detector=DETECTOR, fingerprint="0", null="generated and novel", promised=0.01,
        scores=tuple(np.sort(rng.standard_normal(n)).tolist()), domain={}, copies=copies,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.5])
def test_the_interval_covers_the_truth(share, monkeypatch):
    """Calibration, images and pile are all drawn anew: everything that is unknown varies."""
    monkeypatch.setattr(prevalence, "DRAWS", 4000)
    rng = np.random.default_rng(int(1000 * share))
    n, repeats, covered = 1000, 60, 0
    for _ in range(repeats):
        calibration = build_calibration(rng, spread=0.15)
        copies = round(share * n)
        chances = np.clip(0.8 + 0.15 * rng.standard_normal(20), 0, 1)
        hits = rng.binomial(1, chances[rng.integers(0, 20, copies)]).sum()
        false = rng.binomial(n - copies, stats.norm.sf(calibration.threshold))
        rate = estimate_copy_rate(calibration, flagged=int(hits + false), n=n)
        covered += rate["low"] <= copies / n <= rate["high"]
    assert covered / repeats >= 0.9


def test_the_point_estimate_is_rogan_and_gladens():
    calibration = build_calibration(np.random.default_rng(0))
    found = calibration.sensitivity().value
    false = (calibration.allowed_above + 1) / (calibration.n + 1)
    rate = estimate_copy_rate(calibration, flagged=200, n=1000)
    assert rate["value"] == pytest.approx((0.2 - false) / (found - false))
    assert rate["low"] < rate["value"] < rate["high"]


def test_with_exact_rates_the_interval_is_that_of_two_binomials():
    """A huge calibration knows both rates; then tails are exact binomial ones."""
    rng = np.random.default_rng(1)
    calibration = build_calibration(rng, n=400_000, images=4000, per_image=25)
    found, false = calibration.sensitivity().value, calibration.promised
    rate = estimate_copy_rate(calibration, flagged=30, n=300)
    total = np.arange(301)

    def flags(copies):
        return np.convolve(
            stats.binom.pmf(np.arange(copies + 1), copies, found),
            stats.binom.pmf(np.arange(301 - copies), 300 - copies, false),
        )

    low = min(c for c in total if flags(c)[30:].sum() > 0.025)
    high = max(c for c in total if flags(c)[:31].sum() > 0.025)
    assert abs(rate["low"] * 300 - low) <= 1
    assert abs(rate["high"] * 300 - high) <= 1


def test_without_known_copies_there_is_only_a_lower_end():
    calibration = build_calibration(np.random.default_rng(0), images=0)
    rate = estimate_copy_rate(calibration, flagged=300, n=1000)
    assert rate["value"] is None
    assert rate["high"] is None
    assert 0.2 < rate["low"] < 0.3
    assert find_detection_limit(calibration, 1000) is None


def test_no_flag_at_all_leaves_room_for_few_copies():
    rate = estimate_copy_rate(build_calibration(np.random.default_rng(0)), flagged=0, n=300)
    assert rate["value"] == rate["low"] == 0
    # By hand, for the mean t = .74: (1 - t)^2 = 7 %, (1 - t)^3 = 2 %, whatever the false flags.
    assert 300 * rate["high"] == pytest.approx(2)


def test_far_fewer_flags_than_promised_leave_an_interval():
    rate = estimate_copy_rate(build_calibration(np.random.default_rng(0)), flagged=0, n=20_000)
    assert 0 == rate["low"] <= rate["value"] <= rate["high"] < 0.01


def test_more_flags_than_copies_explain_leave_the_whole_pile():
    rate = estimate_copy_rate(build_calibration(np.random.default_rng(0)), flagged=300, n=300)
    assert rate["high"] == 1
    assert rate["low"] <= rate["value"] <= 1


@pytest.mark.slow
def test_a_rate_at_the_detection_limit_is_noticed():
    calibration = build_calibration(np.random.default_rng(0))
    n = 2000
    limit = find_detection_limit(calibration, n)
    rng = np.random.default_rng(3)
    copies = round(limit * n)
    flags = rng.binomial(copies, 0.8, 300) + rng.binomial(n - copies, 0.01, 300)
    lows = {m: estimate_copy_rate(calibration, flagged=int(m), n=n)["low"] for m in set(flags)}
    noticed = np.mean([lows[m] > 0 for m in flags])
    assert noticed >= 0.9
    assert find_detection_limit(calibration, 20_000) < limit
    assert find_detection_limit(calibration, 2) is None


def test_false_flags_are_those_the_calibration_allows():
    calibration = build_calibration(np.random.default_rng(0))
    expected = expect_false_flags(calibration, 1000)
    assert (expected["low"], expected["high"]) == calibration.allowed_false_positives(1000)
    k, n = calibration.allowed_above, calibration.n
    assert expected["value"] == pytest.approx(stats.betabinom.mean(1000, k + 1, n - k))
