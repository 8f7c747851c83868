"""Small pictures as data URIs, so that the page needs no second file."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MAX_SIDE = 128
"""Larger pictures are shrunk to this many pixels a side."""


def build_picture(pixels: UInt8[np.ndarray, "channel height width"]) -> str:
    """Encode one picture as the data URI of a PNG."""
    channels = len(pixels) if len(pixels) in MODES else 1
    last = np.ascontiguousarray(np.moveaxis(pixels[:channels], 0, -1))  # height width channel
    image = Image.fromarray(last[..., 0] if channels == 1 else last, MODES[channels])
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
