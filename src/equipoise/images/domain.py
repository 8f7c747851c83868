"""Simple features of pictures: what a calibration records of its domain.

The same features are trivial baselines: a detector that does not beat them has shown nothing.
"""

import io
from collections.abc import Callable

import torch
from jaxtyping import Float64, UInt8
from PIL import Image
from torch import Tensor

Pictures = UInt8[Tensor, "case channel height width"]
Values = Float64[Tensor, " case"]


def pixel_mean(pictures: Pictures) -> Values:
    """Mean of the pixels, 0 to 1."""
    return _unit(pictures).flatten(1).mean(dim=1)


def pixel_variance(pictures: Pictures) -> Values:
    """Population variance of the pixels, on the scale 0 to 1."""
    return _unit(pictures).flatten(1).var(dim=1, correction=0)


def total_variation(pictures: Pictures) -> Values:
    """Mean absolute difference of neighbouring pixels, on the scale 0 to 1."""
    unit = _unit(pictures)
    down = unit.diff(dim=2).abs().flatten(1).mean(dim=1)
    across = unit.diff(dim=3).abs().flatten(1).mean(dim=1)
    return down + across


def jpeg_size(pictures: Pictures) -> Values:
    """Bytes of the picture as a JPEG of quality 90: a measure of complexity."""
    return torch.tensor([_jpeg_bytes(picture) for picture in pictures], dtype=torch.float64)


_FEATURES: dict[str, Callable[[Pictures], Values]] = {
    "pixel_mean": pixel_mean,
    "pixel_variance": pixel_variance,
    "total_variation": total_variation,
}


def measure_domain(pictures: Pictures) -> dict[str, tuple[float, float]]:
    """Record the range of every domain feature over some pictures."""
    ranges = {}
    for name, feature in _FEATURES.items():
        values = feature(pictures)
        ranges[name] = (float(values.min()), float(values.max()))
    return ranges


def find_outside(pictures: Pictures, domain: dict[str, tuple[float, float]]) -> list[bool]:
    """Say of every picture whether a feature lies outside the recorded range."""
    outside = torch.zeros(len(pictures), dtype=torch.bool)
    for name, (low, high) in domain.items():
        values = _FEATURES[name](pictures)
        outside |= (values < low) | (values > high)
    return outside.tolist()


def _unit(pictures: Tensor) -> Tensor:
    return pictures.double() / 255


def _jpeg_bytes(picture: Tensor) -> int:
    channels = picture.permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(channels[:, :, 0] if channels.shape[2] == 1 else channels)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.tell()
