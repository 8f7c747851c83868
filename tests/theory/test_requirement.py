from math import inf, nan

import pytest
import torch

from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory.requirement import (
    check_clusters,
    check_distinct,
    check_level,
    check_nonzero,
    check_samples,
    check_width,
)

GOOD = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_what_is_right_passes():
    check_samples(GOOD)
    check_clusters([GOOD, GOOD[:1]])
    check_nonzero(GOOD, what="Sample")
    check_distinct(GOOD)
    check_level(0.0, 0.0)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (GOOD[0], "rows of a"),
        (GOOD.long(), "convert whole numbers"),
        (GOOD[:0], "holds no sample"),
        (GOOD[:, :0], "holds no sample"),
        (GOOD.numpy(), "is of ndarray.*torch.as_tensor"),
        (GOOD.tolist(), "is of list"),
    ],
)
def test_no_matrix_of_samples(X, message):
    with pytest.raises(BadInputError, match=message):
        check_samples(X)


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e30])
def test_the_first_sample_that_is_not_finite_is_named(value):
    X = GOOD.clone()
    X[1, 0] = X[2, 1] = value
    with pytest.raises(NonFiniteError, match=r"in 2 sample\(s\), the first is 1"):
        check_samples(X)


def test_clusters_are_named_and_fit_each_other():
    with pytest.raises(BadInputError, match="One or more"):
        check_clusters([])
    for other in (GOOD[:, :1], GOOD.double()):
        with pytest.raises(BadInputError, match="same dim and type"):
            check_clusters([GOOD, other])
    with pytest.raises(BadInputError, match="Cluster 1"):
        check_clusters([GOOD, GOOD[:0]])


def test_samples_fit_the_network():
    check_width(GOOD, 2)
    with pytest.raises(BadInputError, match="2 values, the network takes 3"):
        check_width(GOOD, 3)


def test_zero_and_equal_samples_are_named():
    with pytest.raises(BadInputError, match=r"Sample 1 is zero \(1 in all\)"):
        check_nonzero(GOOD * torch.tensor([[1.0], [0.0], [1.0]]), what="Sample")
    with pytest.raises(BadInputError, match="Samples 0 and 2 are equal"):
        check_distinct(GOOD[[0, 1, 0]])


@pytest.mark.parametrize(("sigma", "decay"), [(-1.0, 0.0), (nan, 0.0), (1.0, -1.0), (1.0, inf)])
def test_levels_are_finite_and_not_negative(sigma, decay):
    with pytest.raises(BadInputError, match="finite and not negative"):
        check_level(sigma, decay)
