"""The distance against numpy's inverse covariance, and what the residual adds."""

import numpy as np
import pytest
import torch

from equipoise.denoisers import wrap
from equipoise.detection.conformance import check_detector
from equipoise.detection.pole import build_pole
from equipoise.detection.whitening import WhitenedSpikiness, Whitening, fit_whitened
from equipoise.errors import BadInputError

GENERATOR = torch.Generator().manual_seed(0)
MIXING = torch.randn(5, 5, generator=GENERATOR, dtype=torch.float64)
UNITS = torch.randn(400, 5, generator=GENERATOR, dtype=torch.float64) @ MIXING + 3


def test_the_distance_is_mahalanobis_where_one_axis_is_left():
    """With all axes but one, the remainder is the last axis: the full inverse covariance."""
    whitening = Whitening.fit(UNITS, num_axes=4)
    inverse = np.linalg.inv(np.cov(UNITS.numpy().T))
    centred = UNITS.numpy()[:20] - UNITS.numpy().mean(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", centred, inverse, centred) / 5)
    assert whitening.measure(UNITS[:20]).numpy() == pytest.approx(expected)


def test_too_few_items_for_the_axes_are_refused():
    for units, axes in ((UNITS[:4], 3), (UNITS, 5)):
        with pytest.raises(BadInputError, match="fewer axes"):
            Whitening.fit(units, num_axes=axes)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Linear(6, 12), torch.nn.Tanh(), torch.nn.Linear(12, 6)
        ).requires_grad_(False)
    return wrap(
        net, sample_shape=(6,), data_std=0.3, call=lambda net, x, sigma: net(x), sites=("2:in",)
    )


def test_a_unit_that_breaks_a_habit_stands_out_although_its_value_is_ordinary():
    together = torch.randn(300, 1, generator=GENERATOR, dtype=torch.float64).expand(300, 2)
    noise = 0.05 * torch.randn(300, 2, generator=GENERATOR, dtype=torch.float64)
    whitening = Whitening.fit(together + noise, num_axes=1)
    apart, alike = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    assert whitening.measure(apart) > 10 * whitening.measure(alike)


@pytest.mark.parametrize("with_residual", [False, True])
def test_scores_of_novel_items_are_standard_and_far_ones_stand_out(network, with_residual):
    images = torch.rand(200, 6, generator=torch.Generator().manual_seed(1))
    ids = [str(k) for k in range(200)]
    detector = fit_whitened(
        network, images, ids, sites=("2:in",), sigma=0.1, num_axes=4, draws=1,
        with_residual=with_residual,
    )  # fmt: skip
    scores = detector.score(network, images, ids)
    assert scores.evaluations == 200
    if with_residual:
        assert float(scores.values.mean()) == pytest.approx(0, abs=1e-6)
    else:
        assert float(scores.values.square().mean()) == pytest.approx(199 / 200, rel=1e-6)
    again = WhitenedSpikiness.model_validate_json(detector.model_dump_json())
    assert torch.equal(again.score(network, images, ids).values, scores.values)


def test_it_keeps_the_contract():
    pole = build_pole()
    novel = ~pole.memorized
    ids = [one for one, kept in zip(pole.ids, novel.tolist(), strict=True) if kept]
    sites = pole.denoiser.default_sites
    check_detector(
        fit_whitened(
            pole.denoiser, pole.images[novel], ids, sites=sites, sigma=0.1, num_axes=2, draws=1
        )
    )
