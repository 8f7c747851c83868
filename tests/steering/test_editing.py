import pytest
import torch

from equipoise.denoisers import GaussianDenoiser
from equipoise.errors import BadInputError
from equipoise.sampling import build_sigmas
from equipoise.steering import build_vector
from equipoise.steering.editing import edit_picture, invert

SIGMAS = build_sigmas(160, sigma_min=0.01, sigma_max=20.0, rho=7.0)


def test_the_way_up_ends_where_the_closed_form_says():
    """For a Gaussian the ODE scales every coordinate by sqrt(s^2 + sigma^2)."""
    spread = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    mean = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
    denoiser = GaussianDenoiser(mean, torch.diag(spread**2))
    x0 = torch.tensor([[0.9, 0.5, 2.0]], dtype=torch.float64)
    found = invert(denoiser, x0, SIGMAS)
    low, high = ((spread**2 + sigma**2).sqrt() for sigma in (SIGMAS[-2], SIGMAS[0]))
    torch.testing.assert_close(found, mean + (x0 - mean) * high / low, rtol=1e-3, atol=1e-3)


def test_an_edit_starts_from_the_reconstruction_and_keeps_more_from_a_lower_start(tiny_edm):
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    vector = build_vector(tiny_edm, images, name="tiny")
    sigmas = build_sigmas(6, sigma_min=0.01, sigma_max=2.0, rho=7.0)
    far, near = (
        edit_picture(tiny_edm, images[0], vector, strengths=[0.0, 1.0], sigmas=sigmas, start=start)
        for start in (None, 0.3)
    )
    for edit in (far, near):
        torch.testing.assert_close(edit.pictures[0], edit.reconstruction, rtol=1e-3, atol=1e-3)
        difference = (edit.reconstruction - images[0]).square().mean().sqrt()
        assert edit.error == pytest.approx(float(difference))
        assert not torch.equal(edit.pictures[1], edit.pictures[0])
    assert near.error < far.error
    change = [(e.pictures[1] - e.pictures[0]).abs().mean() for e in (near, far)]
    assert change[0] < change[1]


def test_a_start_below_all_levels_is_refused(tiny_edm):
    images = torch.rand(2, 1, 16, 16)
    vector = build_vector(tiny_edm, images, name="tiny")
    with pytest.raises(BadInputError, match="higher start"):
        edit_picture(tiny_edm, images[0], vector, strengths=[1.0], sigmas=SIGMAS, start=0.001)
