"""Scales against numpy's inverse covariance and what they are for."""

import numpy as np
import pytest
import torch

from equipoise.detection import Spikiness, UnitScale, Whitening
from equipoise.detection.conformance import check_detector
from equipoise.detection.pole import build_pole
from equipoise.errors import BadInputError
from equipoise.representation import measure

GENERATOR = torch.Generator().manual_seed(0)
MIXING = torch.randn(5, 5, generator=GENERATOR, dtype=torch.float64)
UNITS = torch.randn(400, 5, generator=GENERATOR, dtype=torch.float64) @ MIXING + 3


def test_a_scale_gives_every_unit_mean_zero_and_spread_one():
    units = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    units[:, 2] = 4.0  # a unit that never changes
    scaled = UnitScale.fit(units).apply(units)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    expected = torch.ones(6)
    expected[2] = 0
    torch.testing.assert_close(scaled.std(0, correction=0), expected, atol=1e-5, rtol=0)


def test_the_norm_is_mahalanobis_where_one_axis_is_left():
    """With all axes but one, the remainder is the last axis: the full inverse covariance."""
    whitening = Whitening.fit(UNITS, num_axes=4)
    inverse = np.linalg.inv(np.cov(UNITS.numpy().T))
    centred = UNITS.numpy()[:20] - UNITS.numpy().mean(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", centred, inverse, centred))
    found = measure(whitening.apply(UNITS[:20]), "l2")
    assert found.numpy() == pytest.approx(expected)


def test_whitened_units_do_not_go_together():
    white = Whitening.fit(UNITS, num_axes=4).apply(UNITS)
    torch.testing.assert_close(torch.cov(white.T), torch.eye(5, dtype=torch.float64))


def test_what_the_axes_leave_is_divided_by_its_mean_spread():
    """Two axes of five: along them the inverse variance, else the mean of the other three."""
    whitening = Whitening.fit(UNITS, num_axes=2)
    values, vectors = np.linalg.eigh(np.cov(UNITS.numpy().T))
    values = np.r_[np.full(3, values[:3].mean()), values[3:]]
    inverse = vectors @ np.diag(1 / values) @ vectors.T
    centred = UNITS.numpy()[:20] - UNITS.numpy().mean(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", centred, inverse, centred))
    assert measure(whitening.apply(UNITS[:20]), "l2").numpy() == pytest.approx(expected)


def test_a_unit_that_breaks_a_habit_stands_out_although_its_value_is_ordinary():
    together = torch.randn(300, 1, generator=GENERATOR, dtype=torch.float64).expand(300, 2)
    noise = 0.05 * torch.randn(300, 2, generator=GENERATOR, dtype=torch.float64)
    whitening = Whitening.fit(together + noise, num_axes=1)
    apart, alike = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    assert whitening.apply(apart).norm() > 10 * whitening.apply(alike).norm()


@pytest.mark.parametrize("rank", [1, 3])
def test_units_that_never_vary_leave_finite_numbers(rank):
    flat = torch.randn(50, rank, generator=GENERATOR) @ torch.randn(rank, 6, generator=GENERATOR)
    assert bool(torch.isfinite(Whitening.fit(flat, num_axes=4).apply(flat)).all())


def test_units_that_are_all_the_same_are_refused():
    with pytest.raises(BadInputError, match="are the same for all 30 items"):
        Whitening.fit(torch.ones(30, 5), num_axes=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"variances": (1.0,)},
        {"variances": (1.0, -1.0)},
        {"axes": ((1.0, 0.0),) * 2},
        {"rest": 0.0},
    ],
    ids=str,
)
def test_a_damaged_covariance_is_refused(wrong):
    told = Whitening.fit(UNITS, num_axes=2).model_dump() | wrong
    with pytest.raises(ValueError, match="1 validation error"):
        Whitening.model_validate(told)


def test_too_few_items_for_the_axes_are_refused():
    for units, axes in ((UNITS[:4], 3), (UNITS, 5)):
        with pytest.raises(BadInputError, match="fewer axes"):
            Whitening.fit(units, num_axes=axes)


@pytest.mark.parametrize("scale", [UnitScale.fit(UNITS), Whitening.fit(UNITS, num_axes=2)])
def test_other_units_than_measured_are_refused_and_can_be_measured(scale):
    with pytest.raises(BadInputError, match="measured on 5 units"):
        scale.apply(UNITS[:, :3])
    assert scale.refit(UNITS) == scale
    assert scale.refit(UNITS + 1).mean == pytest.approx([mean + 1 for mean in scale.mean])


def test_whitened_spikiness_keeps_the_contract_of_a_detector():
    pole = build_pole()
    novel = ~pole.memorized
    ids = [one for one, kept in zip(pole.ids, novel.tolist(), strict=True) if kept]
    plain = Spikiness(sites=pole.denoiser.default_sites, sigma=0.1, statistic="l2", draws=1)
    units = plain.observe_units(pole.denoiser, pole.images[novel], ids).flatten(0, 1)
    white = plain.model_copy(update={"scale": Whitening.fit(units, num_axes=2)})
    check_detector(white)
    squares = white.score(pole.denoiser, pole.images[novel], ids).values.square()
    count, dim = units.shape  # the mean square of a Mahalanobis distance is the number of units
    assert float(squares.mean()) == pytest.approx(dim * (count - 1) / count)
    assert Spikiness.model_validate_json(white.model_dump_json()) == white
    assert white.describe() == plain.describe() | {"scaled_units": dim, "axes": 2}
