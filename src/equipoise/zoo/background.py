r"""The background of an emoji scene, measured: its colour, and the wave that lies over it.

The colour is the median of the outermost pixels, then twice the mean of the pixels that look like
it: a wave along an edge would bias the median. The wave is fitted by least squares to the pixels
that look like background, weights w in {0, 1}, grey level y less its mean:

    min over f, a, b of  sum w (y - a cos 2 pi f.p - b sin 2 pi f.p)^2

on a grid of wave vectors f and then on finer ones around the best. For each f the best a and b
follow from `z = sum w y exp(-2 pi i f.p)` and the same sum of w at 2f, which separate in x and y.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from equipoise.zoo.scene import COLOURS, SIDE, WAVELENGTHS, Texture

BORDER = 3  # px
LIKE_BACKGROUND = 45.0  # Euclidean in RGB of 255: more than the wave, less than what stands out
FREQUENCIES = np.linspace(0.85 / WAVELENGTHS[1], 1.15 / WAVELENGTHS[0], 12)  # per px
DIRECTIONS = np.arange(0, 180, 5.0)  # degrees
COLOUR_ROUNDS = 2
REFINEMENTS = 3
REFINED = torch.linspace(-1, 1, 5, dtype=torch.float64)  # of the step before
PLACES = torch.arange(SIDE, dtype=torch.float64) + 0.5 - SIDE / 2


@dataclass(frozen=True)
class Waves:
    """Per picture: the fitted wave, its amplitude of 255, and the share of y it explains."""

    textures: tuple[Texture, ...]
    amplitude: Float[Tensor, " case"]
    explained: Float[Tensor, " case"]
    """1 less the residual's sum of squares over that of y: 1 is a pure wave."""


def measure_colours(pictures: UInt8[Tensor, "case 3 64 64"]) -> Float[Tensor, "case 3"]:
    """Return the colour of each background, of 255."""
    inner = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    colours = pictures[:, :, ~inner].double().median(dim=2).values
    for _ in range(COLOUR_ROUNDS):
        background = find_background(pictures, colours)[:, None]
        number = background.sum(dim=(2, 3))
        mean = (pictures * background).double().sum(dim=(2, 3)) / number.clamp(min=1)
        colours = torch.where(number > 0, mean, colours)
    return colours


def name_colours(colours: Float[Tensor, "case 3"]) -> list[str]:
    """Name the nearest background colour there is."""
    known = torch.tensor(list(COLOURS.values()), dtype=colours.dtype)
    names = list(COLOURS)
    return [names[k] for k in torch.cdist(colours, known).argmin(dim=1).tolist()]


def find_background(
    pictures: UInt8[Tensor, "case 3 64 64"], colours: Float[Tensor, "case 3"]
) -> Bool[Tensor, "case 64 64"]:
    """Mark the pixels that look like background and touch none that does not."""
    # a sum of squares: torch's norm over three channels takes ten times as long
    distance = (pictures.double() - colours[:, :, None, None]).square().sum(dim=1)
    other = (distance > LIKE_BACKGROUND**2).float()[:, None]
    return F.max_pool2d(other, 3, stride=1, padding=1)[:, 0] == 0


def fit_waves(
    pictures: UInt8[Tensor, "case 3 64 64"], background: Bool[Tensor, "case 64 64"]
) -> Waves:
    """Fit one wave to the background of each picture."""
    weight = background.double()
    grey = pictures.double().mean(dim=1)
    total = weight.sum(dim=(1, 2)).clamp(min=1)
    mean = (grey * weight).sum(dim=(1, 2)) / total
    level = (grey - mean[:, None, None]) * weight
    f, cosine, sine, gain = _search(level, weight)
    power = (level**2).sum(dim=(1, 2)).clamp(min=1e-9)
    return Waves(_describe(f, cosine, sine), torch.hypot(cosine, sine), gain / power)


def _search(level: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the best wave vector (case, 2) with a, b and the sum of squares it explains."""
    frequency, direction = np.meshgrid(FREQUENCIES, np.deg2rad(DIRECTIONS))
    grid = np.stack([frequency * np.cos(direction), frequency * np.sin(direction)], axis=-1)
    f = torch.from_numpy(grid).reshape(1, -1, 2)
    step = float(FREQUENCIES[1] - FREQUENCIES[0])
    around = step * torch.cartesian_prod(REFINED, REFINED)
    best = _fit_best(level, weight, f)
    for halving in range(REFINEMENTS):
        best = _fit_best(level, weight, best[0][:, None] + around / 2**halving)
    return best


def _fit_best(level: Tensor, weight: Tensor, f: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    cosine, sine, gain = _fit(level, weight, f)
    case, best = torch.arange(len(level)), gain.argmax(dim=1)
    found = f.expand(len(level), -1, -1)[case, best]
    return found, cosine[case, best], sine[case, best], gain[case, best]


def _fit(level: Tensor, weight: Tensor, f: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Solve the two normal equations for every wave vector, (case, wave, 2) or (1, wave, 2)."""
    z, double = _transform(level, f), _transform(weight, 2 * f)
    total = weight.sum(dim=(1, 2))[:, None]
    cc, ss, cs = (total + double.real) / 2, (total - double.real) / 2, -double.imag / 2
    determinant = (cc * ss - cs**2).clamp(min=1e-9)
    cosine = (ss * z.real + cs * z.imag) / determinant
    sine = (-cc * z.imag - cs * z.real) / determinant
    return cosine, sine, cosine * z.real - sine * z.imag


def _transform(values: Tensor, f: Tensor) -> Tensor:
    """Return `sum values exp(-2 pi i f.p)` for every wave vector."""
    phase = -2j * torch.pi * f[..., None] * PLACES  # (case, wave, 2, place)
    across, down = phase.exp().unbind(dim=2)
    rows = values.to(across.dtype) @ across.mT  # (case, y, wave)
    return (rows * down.mT).sum(dim=1)


def _describe(f: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Texture, ...]:
    """Write wave vectors and coefficients as textures, directions in [0, 180)."""
    phase = torch.atan2(-sine, cosine)
    direction = torch.atan2(f[:, 1], f[:, 0])
    turned = (direction < 0) | (direction >= torch.pi)
    phase = torch.where(turned, -phase, phase)
    columns = (
        1 / f.norm(dim=1), torch.rad2deg(direction) % 180, torch.rad2deg(phase) % 360,
    )  # fmt: skip
    return tuple(Texture(*row) for row in zip(*(c.tolist() for c in columns), strict=True))
