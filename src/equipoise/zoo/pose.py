r"""Size, place and rotation of a known emoji in a picture, by a matched filter.

With `D` the picture less its background colour `B`, and an emoji of opacity `a` and colours `e`
(times `a`) at place p, placing it rather than leaving the background bare lowers the sum of
squares by

    gain(p) = 2 <D, T_p> - |T_p|^2,    T = e - a B

which is computed at all whole places at once by Fourier transforms, for every size and a row of
angles. Place and angle are refined by parabolas through the gain around its maximum.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from equipoise.zoo.rendering import render_emoji
from equipoise.zoo.scene import MAX_ANGLE, SIDE, SIZES

ANGLES = tuple(np.linspace(-MAX_ANGLE - 6, MAX_ANGLE + 6, 13))  # degrees
MARGIN = 13  # px between the middle of the emoji and the edge of the picture
PADDED = 80  # px; what a template sticks out meets zeros and not the other edge
TEMPLATES_KEPT = 24  # emoji; 4 MB each


@dataclass(frozen=True)
class Pose:
    """Where and how an emoji lies in a picture."""

    size: str
    centre: tuple[float, float]
    """Middle of its box, px."""
    angle: float
    """Degrees, counter-clockwise as it is seen."""
    gain: float
    """Sum of squares it explains, pixels of 255; below 0 nothing like it is there."""
    gains: dict[str, float]
    """The same for every size, at its best place and angle."""


@dataclass(frozen=True)
class Templates:
    """Fourier transforms of one emoji at every size and angle, and its sums of squares."""

    spectra: Tensor  # (template, 4, PADDED, PADDED // 2 + 1): three colours, opacity
    colour_colour: Float64[Tensor, " template"]
    colour_alpha: Float64[Tensor, "template 3"]
    alpha_alpha: Float64[Tensor, " template"]


def find_poses(
    differences: Float[Tensor, "case 3 64 64"],
    colours: Float[Tensor, "case 3"],
    motifs: list[tuple[str, str]],
) -> list[Pose]:
    """Find one known emoji in every picture.

    Args:
        differences: Pictures less the colours of their backgrounds, of 255.
        colours: Those colours.
        motifs: Noun and vendor of the emoji in each.
    """
    cases = defaultdict(list)
    for case, motif in enumerate(motifs):
        cases[motif].append(case)
    found: dict[int, Pose] = {}
    for motif, members in cases.items():
        templates = _build_templates(*motif)
        for case in members:
            found[case] = _find_pose(differences[case], colours[case], templates)
    return [found[case] for case in range(len(motifs))]


def refine_peak(values: Float[np.ndarray, " place"], peak: int) -> float:
    """Return how far the top of the parabola through a maximum and its neighbours lies from it.

    In steps, within half a one; 0 at either end of the row.
    """
    if not 0 < peak < len(values) - 1:
        return 0.0
    before, top, after = values[peak - 1 : peak + 2]
    bend = before - 2 * top + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


@lru_cache(TEMPLATES_KEPT)
def _build_templates(noun: str, vendor: str) -> Templates:
    middle = (SIDE / 2, SIDE / 2)
    drawn = [
        render_emoji(noun, vendor, side=side, angle=angle, centre=middle)
        for side in SIZES.values()
        for angle in ANGLES
    ]
    colour = torch.from_numpy(np.stack([one.colour for one in drawn]))
    alpha = torch.from_numpy(np.stack([one.alpha for one in drawn]))
    layers = torch.cat([colour, alpha[:, None]], dim=1).float()
    return Templates(
        torch.fft.rfft2(layers, s=(PADDED, PADDED)).conj(),
        (colour**2).sum(dim=(1, 2, 3)),
        (colour * alpha[:, None]).sum(dim=(2, 3)),
        (alpha**2).sum(dim=(1, 2)),
    )


def _find_pose(difference: Tensor, colour: Tensor, templates: Templates) -> Pose:
    gain = _map_gain(difference.float(), colour, templates).numpy()  # (size, angle, y, x)
    size, angle, y, x = (int(k) for k in np.unravel_index(gain.argmax(), gain.shape))
    right = MARGIN + x + refine_peak(gain[size, angle, y], x)
    down = MARGIN + y + refine_peak(gain[size, angle, :, x], y)
    turn = (ANGLES[1] - ANGLES[0]) * refine_peak(gain[size, :, y, x], angle)
    gains = dict(zip(SIZES, gain.max(axis=(1, 2, 3)).tolist(), strict=True))
    name = list(SIZES)[size]
    return Pose(name, (right, down), float(ANGLES[angle] + turn), gains[name], gains)


def _map_gain(difference: Tensor, colour: Tensor, templates: Templates) -> Tensor:
    """Return the gain for every size, angle, row and column of the middle."""
    along = -torch.einsum("c,cyx->yx", colour.float(), difference)
    spectrum = torch.fft.rfft2(torch.cat([difference, along[None]]), s=(PADDED, PADDED))
    product = torch.fft.irfft2((spectrum * templates.spectra).sum(dim=1), s=(PADDED, PADDED))
    # Shift 0 is the template's own place, the middle of the picture; shifts wrap around.
    places = torch.arange(MARGIN, SIDE - MARGIN + 1) - SIDE // 2
    match = product[:, places][:, :, places]
    square = (
        templates.colour_colour
        - 2 * templates.colour_alpha @ colour
        + templates.alpha_alpha * (colour**2).sum()
    )
    gain = 2 * match - square[:, None, None]
    return gain.unflatten(0, (len(SIZES), len(ANGLES)))
