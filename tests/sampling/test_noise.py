import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equipoise.sampling import draw_choices, draw_noise, draw_noise_batch

# Names with separators and digits are the ones that could be mistaken for a seed or a draw.
NAMES = st.text(alphabet="01|a-", max_size=5) | st.text(max_size=20)
CASES = st.tuples(st.integers(-3, 2**40), NAMES, st.integers(0, 2**33))


def case(seed, item_id, draw, shape=(4,)):
    return draw_noise(shape, seed=seed, item_id=item_id, draw=draw)


@settings(max_examples=200, deadline=None)
@given(CASES, CASES)
def test_noise_is_equal_for_equal_cases_and_different_for_every_other(a, b):
    assert torch.equal(case(*a), case(*a))
    assert torch.equal(case(*a), case(*b)) == (a == b)


def test_separators_in_a_name_are_not_mistaken():
    cases = [
        (s, i, d) for s in (0, 1, 11) for i in ("", "1", "1|1", "|", "1|") for d in (0, 1, 11)
    ]
    for a, b in itertools.combinations(cases, 2):
        assert not torch.equal(case(*a), case(*b)), (a, b)


def test_order_and_company_do_not_matter():
    items, draws = ["b", "a", "c", "a"], [0, 1, 2, 0]
    together = draw_noise_batch((1, 3, 3), seed=7, item_ids=items, draws=draws)
    assert together.shape == (4, 1, 3, 3)
    for row, (item, draw) in enumerate(zip(items, draws, strict=True)):
        assert torch.equal(together[row], case(7, item, draw, (1, 3, 3)))
    backwards = draw_noise_batch((1, 3, 3), seed=7, item_ids=items[::-1], draws=draws[::-1])
    assert torch.equal(backwards.flip(0), together)


def test_the_state_of_other_generators_does_not_matter():
    torch.manual_seed(1)
    np.random.seed(1)
    first = case(0, "a", 0)
    torch.manual_seed(2)
    np.random.seed(2)
    before = torch.get_rng_state()
    assert torch.equal(case(0, "a", 0), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_standard_normal_within_an_item_and_across_items():
    within = case(0, "a", 0, (20_000,)).numpy()
    across = np.array([float(case(0, str(i), i % 3, (1,))) for i in range(4000)])
    for values in (within, across):
        assert stats.kstest(values, "norm").pvalue > 0.01
        assert abs(values.mean()) < 4 / len(values) ** 0.5
        assert abs(values.std() - 1) < 4 / (2 * len(values)) ** 0.5
    neighbours = np.corrcoef(case(0, "a", 0, (9000,)), case(0, "a", 1, (9000,)))
    assert abs(neighbours[0, 1]) < 4 / 9000**0.5


def test_the_stream_is_the_same_in_every_version():
    """Calibrations and run folders of the past hold scores made with this noise."""
    found = case(0, "item", 0, (3,))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor(GOLDEN), rtol=1e-6, atol=0)


GOLDEN = [-0.822166502, 0.358123958, -2.44255948]


def test_items_without_their_draw_are_refused():
    with pytest.raises(ValueError, match="zip"):
        draw_noise_batch((2,), seed=0, item_ids=["a", "b"], draws=[0])


def test_choices_are_even_and_each_a_function_of_its_item():
    ids = [f"item{i}" for i in range(4000)]
    drawn = draw_choices(8, seed=3, item_ids=ids)
    assert stats.chisquare(torch.bincount(drawn, minlength=8).numpy()).pvalue > 1e-3
    assert torch.equal(draw_choices(8, seed=3, item_ids=ids[::-1]).flip(0), drawn)
    assert not torch.equal(draw_choices(8, seed=4, item_ids=ids), drawn)
