import pytest
import torch

from equipoise.denoisers.halves import Halves
from equipoise.denoisers.network_call import NetworkCall
from equipoise.errors import BadInputError
from equipoise.steering.rows import as_mask, as_strengths, spread_over_rows

VALUES = torch.tensor([[1.0], [2.0]])


def spread(rows, *, doubled):
    call = NetworkCall(torch.zeros(rows, 1), torch.ones(rows, dtype=torch.float64), None)
    halves = Halves(torch.zeros(rows, dtype=torch.bool), doubled)
    return spread_over_rows(VALUES, call, halves)[:, 0].tolist()


def test_both_rows_of_a_sample_get_what_it_was_given():
    assert spread(2, doubled=False) == [1, 2]
    assert spread(4, doubled=True) == [1, 2, 1, 2]
    for rows, doubled in ((4, False), (2 + 1, True)):
        with pytest.raises(BadInputError, match=f"with {rows} rows"):
            spread(rows, doubled=doubled)


def test_strengths_are_one_for_all_one_a_sample_or_one_a_vector_and_sample():
    assert as_strengths(0.5, 2).tolist() == [[0.5], [0.5]]
    assert as_strengths([0.5, 1.0], 2).tolist() == [[0.5, 1.0]] * 2
    assert as_strengths(torch.tensor([[1.0], [2.0]]), 2).tolist() == [[1.0], [2.0]]
    with pytest.raises(BadInputError, match=r"\(3, 1\) was given for 2 vector"):
        as_strengths(torch.ones(3, 1), 2)


def test_a_mask_is_one_for_all_or_one_a_sample():
    assert as_mask(torch.ones(4, 6)).shape == (1, 1, 4, 6)
    assert as_mask(torch.ones(3, 4, 6)).shape == (3, 1, 4, 6)
    for wrong in (torch.ones(1, 3, 4, 6), -torch.ones(4, 6)):
        with pytest.raises(BadInputError, match="mask"):
            as_mask(wrong)
