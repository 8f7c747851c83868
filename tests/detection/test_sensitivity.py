import numpy as np
import pytest
from scipy import stats

from equipoise.detection import KnownCopies, measure_sensitivity


def build_groups(hits, sizes):
    return [
        KnownCopies(image=i, scores=(1.0,) * h + (0.0,) * (n - h))
        for i, (h, n) in enumerate(zip(hits, sizes, strict=True))
    ]


def test_without_copies_there_is_no_sensitivity():
    assert measure_sensitivity([], 0.5) is None


def test_the_share_counts_copies_at_or_above_the_threshold():
    found = measure_sensitivity(build_groups([3, 1], [4, 4]), 1.0)
    assert (found.hits, found.n, found.groups) == (4, 8, 2)
    assert found.value == 0.5
    assert found.describe()["value"] == 0.5


def test_independent_copies_are_worth_about_their_number():
    rng = np.random.default_rng(0)
    found = measure_sensitivity(build_groups(rng.binomial(10, 0.7, 400), [10] * 400), 0.5)
    assert found.effective_n == pytest.approx(4000, rel=0.15)
    plain = stats.binomtest(found.hits, found.n).proportion_ci(method="exact")
    low, high = found.interval()
    assert high - low == pytest.approx(plain.high - plain.low, rel=0.1)


def test_copies_that_share_their_fate_are_worth_their_images():
    hits = [10] * 30 + [0] * 10
    found = measure_sensitivity(build_groups(hits, [10] * 40), 0.5)
    # sum (x - p n)^2 = 30 * 2.5^2 + 10 * 7.5^2 = 750, over n^2 = 160000, times 40/39
    variance = 40 / 39 * 750 / 160_000
    wider = stats.t.ppf(0.975, 399) / stats.t.ppf(0.975, 39)
    assert found.effective_n == pytest.approx(0.75 * 0.25 / variance * wider**2)
    assert found.effective_n < 40


def test_the_interval_covers_other_images():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        chances = rng.beta(3, 1, 24)
        found = measure_sensitivity(build_groups(rng.binomial(8, chances), [8] * 24), 0.5)
        low, high = found.interval()
        covered += low <= 0.75 <= high
    assert covered >= 184  # 95 % of 200, less two standard errors


@pytest.mark.parametrize(("hits", "ends"), [(5, (None, 1.0)), (0, (0.0, None))])
def test_all_or_none_found_still_leaves_a_doubt_of_the_size_of_the_images(hits, ends):
    found = measure_sensitivity(build_groups([hits] * 12, [5] * 12), 0.5)
    low, high = found.interval()
    assert 12 * 0.5 < found.effective_n <= 12
    assert (high if ends[0] is None else low) == (1.0 if ends[0] is None else 0.0)
    assert 0.15 < high - low < 0.4


def test_one_image_tells_little():
    low, high = measure_sensitivity(build_groups([9], [9]), 0.5).interval()
    assert high == 1
    assert low < 0.05


def test_draws_for_other_images_have_about_twice_the_variance():
    rng = np.random.default_rng(0)
    hits = rng.binomial(10, 0.6, 60)
    found = measure_sensitivity(build_groups(hits, [10] * 60), 0.5)
    drawn = found.draw_other(np.random.default_rng(1), 20_000)
    p = found.value
    assert drawn.mean() == pytest.approx(p, abs=0.01)
    assert drawn.var() == pytest.approx(2 * p * (1 - p) / found.effective_n, rel=0.1)
