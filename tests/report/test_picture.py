import base64
import io

import numpy as np
import pytest
from PIL import Image

from equipoise.report.picture import build_picture


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_survive(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    encoded = build_picture(pixels).removeprefix("data:image/png;base64,")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    assert np.array_equal(image.reshape(5, 7, channels), np.moveaxis(pixels, 0, -1))


def test_large_pictures_shrink():
    encoded = build_picture(np.zeros((1, 300, 200), np.uint8)).split(",")[1]
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (85, 128)
