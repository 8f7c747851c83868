import pytest
import torch
from scipy import ndimage

from equipoise.zoo.distortion import BLUR_RADIUS, blur_pictures, spoil

PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_blur_is_scipys_gaussian(spread):
    expected = ndimage.gaussian_filter(
        PICTURES.double().numpy(), spread, axes=(2, 3), mode="nearest", radius=BLUR_RADIUS
    )
    blurred = blur_pictures(PICTURES.double(), spread).numpy()
    assert abs(blurred - expected).max() < 1e-12


def test_no_blur_changes_nothing():
    assert torch.equal(blur_pictures(PICTURES, 0.0), PICTURES)


def test_spoiling_is_seeded_and_stays_in_range():
    one, same, other = (spoil(PICTURES, torch.Generator().manual_seed(k)) for k in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert 0 <= float(one.min()) < float(one.max()) <= 1
    assert 0.01 < float((one - PICTURES).pow(2).mean().sqrt()) < 0.4
