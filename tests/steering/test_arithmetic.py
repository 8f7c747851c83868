import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equipoise.steering.arithmetic import find_change

SHAPES = {"map": (2, 3, 4, 4), "tokens": (2, 5, 3), "units": (2, 3)}
CHANNEL = {"map": 1, "tokens": 2, "units": 1}


def draw(name, *, pooled=False):
    shape = SHAPES[name]
    small = [n if k in (0, CHANNEL[name]) else 1 for k, n in enumerate(shape)]
    h = torch.randn(shape, dtype=torch.float64)
    v, m = (torch.randn(small if pooled else shape, dtype=torch.float64) for _ in range(2))
    return h, v, m


def column(value, h):
    return torch.full((len(h), *[1] * (h.ndim - 1)), value, dtype=torch.float64)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "per position"])
def test_the_coordinate_goes_where_each_mode_says(name, pooled):
    """By dot products of single places, one after another."""
    torch.manual_seed(0)
    h, v, m = draw(name, pooled=pooled)
    a = 0.7

    def places(t):
        return t.expand_as(h).movedim(CHANNEL[name], -1).reshape(-1, 3)

    added = places(h + find_change(h, v, m, column(a, h), mode="add"))
    plain = places(h + find_change(h, v, m, column(a, h), mode="remove"))
    affine = places(h + find_change(h, v, m, column(a, h), mode="remove", affine=True))
    moved = places(h + find_change(h, v, m, column(a, h), mode="interpolate"))
    for k, (x, w, o) in enumerate(zip(places(h), places(v), places(m), strict=True)):
        unit = w / w.norm()
        torch.testing.assert_close(added[k], x + a * w)
        torch.testing.assert_close(plain[k], x - a * max(float(x @ unit), 0) * unit)
        torch.testing.assert_close(affine[k], x - a * max(float((x - o) @ unit), 0) * unit)
        torch.testing.assert_close(moved[k], x + a * (w.norm() - (x - o) @ unit) * unit)


@given(st.integers(0, 99))
def test_removal_leaves_alone_what_has_no_concept_and_is_complete_at_one(seed):
    torch.manual_seed(seed)
    h, v, m = draw("tokens")
    gone = h + find_change(h, v, m, column(1.0, h), mode="remove")
    before, after = ((t * v).sum(-1) for t in (h, gone))
    assert bool((after[before > 0].abs() < 1e-9).all())
    assert torch.equal(gone[before <= 0], h[before <= 0])


def test_interpolation_reaches_one_unit_from_the_origin():
    torch.manual_seed(0)
    h, v, m = draw("units")
    there = h + find_change(h, v, m, column(1.0, h), mode="interpolate")
    torch.testing.assert_close(((there - m) * v).sum(1), v.square().sum(1))


@pytest.mark.parametrize("mode", ["add", "remove", "interpolate"])
def test_a_vector_of_zeros_does_nothing(mode):
    h, v, m = draw("tokens")
    assert not bool(find_change(h, 0 * v, m, column(1.0, h), mode=mode).any())
