"""Pictures as encoded bytes, each known again by its pixels."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def encoded():
    """100 PNG of 4 x 4 px; picture k is of the value k."""

    def encode(value):
        buffer = io.BytesIO()
        Image.fromarray(np.full((4, 4), value, dtype=np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()

    return [encode(value) for value in range(100)]


@pytest.fixture(scope="session")
def value_of():
    """The value of an entry's picture, or its error."""
    from equipoise.images import read_picture

    def read(entry):
        if entry.error is not None:
            return entry.error
        return int(read_picture(entry.content, (1, 4, 4)).pixels[0, 0, 0])

    return read
