import io

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.bench.baselines import DenoisingResidual, score_pictures
from equipoise.denoisers import GaussianDenoiser

PICTURES = torch.randint(0, 256, (5, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(
    torch.uint8
)


def test_picture_baselines_equal_a_slow_calculation():
    found = score_pictures(PICTURES)
    unit = PICTURES.numpy().astype(float)[:, 0] / 255
    for row in range(5):
        image = unit[row]
        assert float(found["pixel_variance"][row]) == pytest.approx(np.var(image))
        steps = np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean()
        assert float(found["total_variation"][row]) == pytest.approx(steps)
        distance = np.linalg.norm(image - unit.mean(axis=0))
        assert float(found["distance_to_mean"][row]) == pytest.approx(distance)
        buffer = io.BytesIO()
        Image.fromarray(PICTURES[row, 0].numpy()).save(buffer, "JPEG", quality=90)
        assert int(found["jpeg_size"][row]) == len(buffer.getvalue())


def test_residual_has_the_closed_forms_mean_on_a_gaussian():
    """E|D(x0+s eps) - x0|^2 / d = (lam s)^2/(lam+s^2)^2 + s^4 x0^2/(lam+s^2)^2, cov lam I."""
    dim, lam, sigma = 400, 2.0, 0.5
    x0 = torch.randn(3, dim, generator=torch.Generator().manual_seed(1))
    denoiser = GaussianDenoiser(torch.zeros(dim), lam * torch.eye(dim))
    residual = DenoisingResidual(sigma=sigma, draws=64)
    found = -residual.score(denoiser, x0, ["a", "b", "c"]).values
    noise = (lam * sigma / (lam + sigma**2)) ** 2
    bias = (sigma**2 / (lam + sigma**2)) ** 2 * x0.double().square().mean(1)
    torch.testing.assert_close(found, (noise + bias).sqrt(), rtol=0.02, atol=0)
