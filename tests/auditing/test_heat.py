import io

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.auditing.heat import draw_heat


def read(content):
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 12), (1, 100, 90)])
def test_the_warm_places_are_those_that_raise_the_score(shape):
    picture = torch.full(shape, 100, dtype=torch.uint8)
    part = torch.zeros(shape[1:])
    part[:4, :4], part[-4:, -4:] = 2.0, -2.0
    drawn = read(draw_heat(picture, part))
    assert max(drawn.shape[:2]) == 64
    assert drawn[1, 1].tolist() == [242, 110, 30]
    assert drawn[-2, -2].tolist() == drawn[1, -2].tolist() == [75, 75, 75]


def test_a_map_without_warm_places_is_the_picture_in_grey():
    picture = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8)
    drawn = read(draw_heat(picture, torch.full((8, 8), -1.0)))
    assert (drawn == drawn[..., :1]).all()
    assert drawn[-1, -1, 0] == round(0.75 * 63)
