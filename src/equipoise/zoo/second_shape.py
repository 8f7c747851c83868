r"""The second small shape of an emoji scene: kind, place and colour, by a matched filter.

What is left of a picture without background, wave and emoji is `R`. A shape of coverage m and
free colour c (relative to the background) at place p explains at best

    gain(p) = sum over channels of <R, m_p>^2 / |m|^2,    c = <R, m_p> / |m|^2

The kind and place with the largest gain are taken; the place is refined by parabolas.
"""

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from equipoise.zoo.pose import PADDED, refine_peak
from equipoise.zoo.rendering import render_coverage
from equipoise.zoo.scene import SHAPE_MARGIN, SHAPES, SIDE, Shape

MARGIN = int(SHAPE_MARGIN) - 1  # px between the middle of the shape and the edge of the picture


@dataclass(frozen=True)
class FoundShape:
    """The likeliest second shape of a picture."""

    shape: Shape
    relative: tuple[float, float, float]
    """Its colour less the background's, of 255."""
    gain: float
    """Sum of squares it explains, pixels of 255."""

    def render(self) -> Float64[np.ndarray, "3 64 64"]:
        """Render what it adds to the background."""
        coverage = render_coverage(self.shape.kind, x=self.shape.x, y=self.shape.y)
        return np.array(self.relative)[:, None, None] * coverage


def find_shapes(
    residuals: Float[Tensor, "case 3 64 64"], colours: Float[Tensor, "case 3"]
) -> list[FoundShape]:
    """Find the second shape in what nothing else explains.

    Args:
        residuals: Pictures less their backgrounds, 0 where the emoji is.
        colours: Colour of each background, of 255.
    """
    return [_find_shape(r, c) for r, c in zip(residuals, colours, strict=True)]


def _find_shape(residual: Tensor, colour: Tensor) -> FoundShape:
    gain = _map_gain(residual).numpy()  # (kind, y, x)
    kind, y, x = (int(k) for k in np.unravel_index(gain.argmax(), gain.shape))
    right = MARGIN + x + refine_peak(gain[kind, y], x)
    down = MARGIN + y + refine_peak(gain[kind, :, x], y)
    coverage = render_coverage(SHAPES[kind], x=right, y=down)
    relative = (residual.double().numpy() * coverage).sum(axis=(1, 2)) / (coverage**2).sum()
    red, green, blue = np.clip((colour.numpy() + relative) / 255, 0, 1).tolist()
    hue = colorsys.rgb_to_hsv(red, green, blue)[0]
    red, green, blue = relative.tolist()
    return FoundShape(
        Shape(SHAPES[kind], right, down, hue), (red, green, blue), float(gain[kind, y, x])
    )


def _map_gain(residual: Tensor) -> Tensor:
    spectra, squares = _build_templates()
    spectrum = torch.fft.rfft2(residual.float(), s=(PADDED, PADDED))
    match = torch.fft.irfft2(spectrum * spectra[:, None], s=(PADDED, PADDED))
    places = torch.arange(MARGIN, SIDE - MARGIN + 1) - SIDE // 2
    return (match[:, :, places][..., places] ** 2).sum(dim=1) / squares[:, None, None]


@cache
def _build_templates() -> tuple[Tensor, Tensor]:
    coverages = np.stack([render_coverage(kind, x=SIDE / 2, y=SIDE / 2) for kind in SHAPES])
    layers = torch.from_numpy(coverages).float()
    return torch.fft.rfft2(layers, s=(PADDED, PADDED)).conj(), (layers**2).sum(dim=(1, 2))
