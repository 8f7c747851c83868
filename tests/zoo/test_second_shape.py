import colorsys

import numpy as np
import pytest
import torch

from equipoise.zoo.rendering import render_coverage
from equipoise.zoo.scene import SHAPES
from equipoise.zoo.second_shape import find_shapes

COLOUR = torch.tensor([[86.0, 172.0, 84.0]], dtype=torch.float64)
RGB = np.array([240.0, 60.0, 190.0])


def paint(kind, x, y):
    relative = RGB - COLOUR[0].numpy()
    return torch.from_numpy(relative[:, None, None] * render_coverage(kind, x=x, y=y))[None]


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(("x", "y"), [(9.3, 40.6), (51.0, 12.5), (33.2, 55.9)])
def test_a_shape_is_found_under_noise(kind, x, y):
    noise = 8 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    (found,) = find_shapes(paint(kind, x, y) + noise, COLOUR)
    assert found.shape.kind == kind
    assert (found.shape.x, found.shape.y) == pytest.approx((x, y), abs=0.3)
    assert found.shape.hue == pytest.approx(colorsys.rgb_to_hsv(*RGB / 255)[0], abs=0.02)
    assert found.relative == pytest.approx(RGB - COLOUR[0].numpy(), abs=8)


def test_the_gain_is_what_the_best_colour_explains():
    residual = paint("disc", 20.0, 30.0)
    (found,) = find_shapes(residual, COLOUR)
    assert found.gain == pytest.approx(float((residual**2).sum()), rel=1e-4)
    assert np.abs(found.render() - residual[0].numpy()).max() < 1e-4


def test_nothing_stands_out_of_nothing():
    (found,) = find_shapes(torch.zeros(1, 3, 64, 64).double(), COLOUR)
    assert found.gain == pytest.approx(0, abs=1e-6)
