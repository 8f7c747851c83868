"""What small latent models do to pictures: blur, noise, brightness.

Instruments are trained on pictures so distorted, and copies are looked for behind a blur.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

MAX_BLUR = 1.6  # px, standard deviation
MAX_NOISE = 0.06  # of the range, standard deviation
BRIGHTNESS = 0.1  # either way
BLUR_RADIUS = 6  # px; the kernel ends there


def spoil(
    pictures: Float[Tensor, "case 3 64 64"], generator: torch.Generator
) -> Float[Tensor, "case 3 64 64"]:
    """Blur the batch, and add noise and a change of brightness to each picture of it."""
    blur = float(torch.rand((), generator=generator)) * MAX_BLUR
    shape = (len(pictures), 1, 1, 1)
    noise = torch.rand(shape, generator=generator) * MAX_NOISE
    gain = 1 + BRIGHTNESS * (2 * torch.rand(shape, generator=generator) - 1)
    grain = torch.randn(pictures.shape, generator=generator)
    return (gain * blur_pictures(pictures, blur) + noise * grain).clamp(0, 1)


def blur_pictures(
    pictures: Float[Tensor, "case channel height width"], spread: float
) -> Float[Tensor, "case channel height width"]:
    """Blur by a Gaussian of standard deviation `spread` px; 0 leaves them as they are."""
    if spread < 0.1:
        return pictures
    places = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, dtype=pictures.dtype)
    kernel = torch.exp(-((places / spread) ** 2) / 2)
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    padded = F.pad(pictures, (BLUR_RADIUS,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel, groups=pictures.shape[1])
    return F.conv2d(across, kernel.transpose(2, 3), groups=pictures.shape[1])
