import numpy as np
import pytest
import torch
from scipy import linalg

from equipoise.monitoring.consistency import make_views, measure_icr, observe_icr
from equipoise.monitoring.probe import build_detector


def test_the_ratio_is_that_of_the_covariances_it_was_drawn_from():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((2, 3, 3))
    signal, noise = (root @ root.T + np.eye(3) for root in roots)
    s = rng.multivariate_normal(np.zeros(3), signal, 40_000)
    views = [s + rng.multivariate_normal(np.zeros(3), noise, 40_000) for _ in range(2)]
    expected = 1 / (1 + linalg.eigh(signal, noise, eigvals_only=True).mean())
    assert measure_icr(*views) == pytest.approx(expected, rel=0.02)


def test_too_few_images_have_no_ratio():
    views = np.random.default_rng(0).standard_normal((2, 8, 5))
    assert measure_icr(*views) is None
    same = np.ones((20, 5))
    assert measure_icr(same, same) is None


def test_views_are_fixed_by_id_and_number_and_keep_their_range():
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ids = list("abcdef")
    first = make_views(images, ids, view=0)
    assert torch.equal(first, make_views(images, ids, view=0))
    assert torch.equal(first[2:3], make_views(images[2:3], ["c"], view=0))
    assert not torch.equal(first, make_views(images, ids, view=1))
    assert first.shape == images.shape
    assert 0 <= float(first.min()) <= float(first.max()) <= 1


@pytest.mark.slow
def test_it_is_measured_on_a_denoiser(images, build_toy):
    denoiser = build_toy(known=20)
    denoiser.network.eval()
    torch.nn.init.ones_(denoiser.network.dial)
    ratio = observe_icr(denoiser, images, build_detector(denoiser))
    assert ratio is not None
    assert np.isfinite(ratio)
