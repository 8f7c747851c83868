import io

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.images import (
    find_outside,
    jpeg_size,
    measure_domain,
    pixel_mean,
    pixel_variance,
    total_variation,
)


def pictures_of(count, shape=(3, 5, 4), *, low=0, high=256, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, *shape), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 5, 4)], ids=["grey", "colour"])
def test_features_equal_their_formulas_in_numpy(shape):
    pictures = pictures_of(6, shape)
    unit = pictures.numpy() / 255
    np.testing.assert_allclose(pixel_mean(pictures), unit.mean((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(pixel_variance(pictures), unit.var((1, 2, 3)), rtol=1e-12)
    for row, found in zip(unit, total_variation(pictures), strict=True):
        c, h, w = row.shape
        down = [
            abs(row[k, i + 1, j] - row[k, i, j])
            for k in range(c)
            for i in range(h - 1)
            for j in range(w)
        ]
        across = [abs(row[k, i, j + 1] - row[k, i, j])
                  for k in range(c) for i in range(h) for j in range(w - 1)]  # fmt: skip
        assert float(found) == pytest.approx(np.mean(down) + np.mean(across))


def test_extreme_pictures_have_extreme_features():
    black, white = torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.full((1, 1, 4, 4), 255)
    both = torch.cat([black, white.to(torch.uint8)])
    assert pixel_mean(both).tolist() == [0, 1]
    assert pixel_variance(both).tolist() == total_variation(both).tolist() == [0, 0]
    board = (torch.arange(16).reshape(1, 1, 4, 4) + torch.arange(4)[:, None]) % 2 * 255
    board = board.to(torch.uint8)
    assert pixel_variance(board).tolist() == [0.25]
    assert total_variation(board).tolist() == [2]


@pytest.mark.parametrize("shape", [(1, 16, 12), (3, 16, 12)], ids=["grey", "colour"])
def test_the_jpeg_size_is_that_of_the_file(shape):
    pictures = pictures_of(2, shape)
    for picture, found in zip(pictures, jpeg_size(pictures), strict=True):
        pixels = picture.permute(1, 2, 0).numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels.squeeze()).save(buffer, "JPEG", quality=90)
        assert int(found) == len(buffer.getvalue())
    smooth = torch.full((1, *shape), 90, dtype=torch.uint8)
    assert float(jpeg_size(smooth)) < float(jpeg_size(pictures).min())


@pytest.mark.parametrize("feature", [pixel_mean, pixel_variance, total_variation, jpeg_size])
def test_a_feature_takes_a_batch(feature):
    together = feature(pictures_of(3))
    alone = torch.cat([feature(p[None]) for p in pictures_of(3)])
    assert together.dtype == torch.float64
    torch.testing.assert_close(together, alone)


def test_the_pictures_of_a_domain_lie_inside_it():
    pictures = pictures_of(20)
    domain = measure_domain(pictures)
    assert set(domain) == {"pixel_mean", "pixel_variance", "total_variation"}
    assert find_outside(pictures, domain) == [False] * 20  # those at the ends too
    means = pictures.double().div(255).flatten(1).mean(1)
    assert domain["pixel_mean"] == pytest.approx((float(means.min()), float(means.max())))


def test_a_picture_is_outside_when_any_one_feature_is():
    domain = {"pixel_mean": (0.4, 0.6), "total_variation": (0.1, 0.9)}
    flat, striped, bright = (torch.full((1, 4, 4), v, dtype=torch.uint8) for v in (128, 64, 250))
    striped[:, :, ::2] = 192
    found = find_outside(torch.stack([flat, striped, bright]), domain)
    assert found == [True, False, True]  # too smooth; inside; too bright and too smooth
    assert find_outside(torch.stack([flat, bright]), {"pixel_mean": (0.4, 0.6)}) == [False, True]
    assert find_outside(torch.stack([flat, bright]), {}) == [False, False]
