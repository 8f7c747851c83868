import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equipoise.errors import BadInputError
from equipoise.representation import POOLINGS, STATISTICS, measure, pool

SPACE = torch.randn(3, 5, 4, 2, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))
UNITS = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))

ROWS = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=40).filter(
    lambda row: max(map(abs, row)) > 1e-3
)


def test_pooling_over_space_leaves_a_value_a_channel():
    numbers = SPACE.numpy()
    assert torch.equal(pool(SPACE, "max"), torch.from_numpy(numbers.max((2, 3))))
    np.testing.assert_allclose(pool(SPACE, "mean"), numbers.mean((2, 3)), rtol=1e-5, atol=1e-6)


def test_pooling_over_tokens_leaves_a_value_a_unit():
    numbers = TOKENS.numpy()
    assert torch.equal(pool(TOKENS, "max"), torch.from_numpy(numbers.max(1)))
    np.testing.assert_allclose(pool(TOKENS, "mean"), numbers.mean(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_units_are_left_as_they_are_and_none_leaves_everything(pooling):
    assert torch.equal(pool(UNITS, pooling), UNITS)
    for h in (SPACE, TOKENS):
        assert torch.equal(pool(h, "none"), h)


def test_a_mean_of_half_precision_is_taken_in_float32():
    h = torch.full((1, 1, 64, 64), 1.0, dtype=torch.bfloat16)
    h[0, 0, 0, 0] = 3.0
    found = pool(h, "mean")
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(1 + 2 / 4096, rel=1e-6)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4, 5, 6)], ids=str)
def test_an_activation_with_another_number_of_axes_is_refused(shape):
    with pytest.raises(BadInputError, match=r"Cannot pool an activation of shape \(\d"):
        pool(torch.zeros(shape), "max")


def by_numpy(row, statistic):
    row, n = np.asarray(row, dtype=np.float64), len(row)
    l1, l2, l4 = (np.linalg.norm(row, p) for p in (1, 2, 4))
    return {
        "std": lambda: np.std(row),
        "l2": lambda: l2,
        "l4_l2": lambda: l4 / l2,
        "kurtosis": lambda: stats.kurtosis(row, fisher=False),
        "participation_ratio": lambda: np.sum(row**2) ** 2 / np.sum(row**4),
        "hoyer": lambda: (np.sqrt(n) - l1 / l2) / (np.sqrt(n) - 1),
    }[statistic]()


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("h", [SPACE, TOKENS, UNITS], ids=["space", "tokens", "units"])
def test_a_statistic_equals_its_formula_in_numpy(h, statistic):
    found = measure(h, statistic)
    assert found.dtype == torch.float64
    expected = [by_numpy(row.flatten(), statistic) for row in h]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_kurtosis_of_a_gaussian_is_three_and_half_precision_does_not_overflow():
    h = torch.randn(1, 200_000, generator=torch.Generator().manual_seed(0))
    assert float(measure(h, "kurtosis")) == pytest.approx(3, abs=0.1)
    large = torch.tensor([[60000.0, 0.0, 0.0, 0.0]], dtype=torch.float16)
    assert float(measure(large, "l4_l2")) == pytest.approx(1)
    assert float(measure(large, "l2")) == pytest.approx(60000, rel=1e-3)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_statistics_keep_their_bounds(row):
    h, n, slack = torch.tensor([row]), len(row), 1e-9
    assert 1 - slack <= measure(h, "participation_ratio").item() <= n * (1 + slack)
    assert -slack <= measure(h, "hoyer").item() <= 1 + slack
    assert n**-0.25 - slack <= measure(h, "l4_l2").item() <= 1 + slack
    assert 0 <= measure(h, "std").item() <= measure(h, "l2").item() / n**0.5 + slack


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from(["l4_l2", "participation_ratio", "hoyer"]), st.integers(-8, 8))
def test_ratios_do_not_depend_on_the_scale_or_sign_of_the_units(row, statistic, power):
    h = torch.tensor([row], dtype=torch.float64)
    expected = measure(h, statistic)
    torch.testing.assert_close(measure(-h * 10.0**power, statistic), expected)
    torch.testing.assert_close(measure(h.flip(1), statistic), expected)


@pytest.mark.parametrize(
    ("statistic", "one_hot", "even"),
    [
        ("participation_ratio", 1, 16),
        ("hoyer", 1, 0),
        ("l4_l2", 1, 16**-0.25),
        ("std", 3 * (15**0.5) / 16, 0),
        ("l2", 3, 12),
        ("kurtosis", (1 / 16 * (15**4) + 15 / 16) / 15**2, None),
    ],
)
def test_one_unit_and_even_units_are_the_extremes(statistic, one_hot, even):
    spike, flat = torch.zeros(1, 16), torch.full((1, 16), -3.0)
    spike[0, 5] = -3.0
    assert measure(spike, statistic).item() == pytest.approx(one_hot)
    if even is not None:
        assert measure(flat, statistic).item() == pytest.approx(even, abs=1e-12)


def test_what_is_undefined_is_not_a_number():
    zeros = torch.zeros(2, 6)
    for statistic in ("l4_l2", "kurtosis", "participation_ratio", "hoyer"):
        assert measure(zeros, statistic).isnan().all()
    assert measure(torch.full((1, 6), 2.0), "kurtosis").isnan().all()
    assert not measure(zeros, "std").any()
