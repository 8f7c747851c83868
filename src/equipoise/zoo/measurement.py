"""A picture back to its record: every attribute and nuisance of an emoji scene, measured.

In this order, each step on what the ones before leave over: background colour and wave
(`background.py`), noun and vendor (`motif.py`), size, place and rotation of that emoji
(`pose.py`), the second shape (`second_shape.py`). Any picture gets a record; how far it is to be
trusted say the strengths beside it. The errors on real scenes: docs/emoji.md.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from equipoise.zoo.background import (
    Waves,
    find_background,
    fit_waves,
    measure_colours,
    name_colours,
)
from equipoise.zoo.emoji import VENDORS, list_nouns
from equipoise.zoo.motif import classify_motifs
from equipoise.zoo.pose import Pose, find_poses
from equipoise.zoo.rendering import render_emoji, render_texture
from equipoise.zoo.scene import (
    CELLS,
    SIZES,
    Attributes,
    Nuisances,
    Scene,
    Shape,
    Texture,
)
from equipoise.zoo.second_shape import FoundShape, find_shapes

CHUNK = 1024
EMOJI_EDGE = 2  # px around the emoji that are not searched for the second shape


@dataclass(frozen=True)
class Measured:
    """What a picture was measured to show, and how clearly it shows it."""

    scene: Scene
    colour: tuple[float, ...]
    """Of the background, of 255."""
    vendor_chances: dict[str, float]
    noun_chances: dict[str, float]
    emoji_gains: dict[str, float]
    """Sum of squares that the emoji explains at each size, over that of the picture less its
    background."""
    texture_amplitude: float
    """Of 255."""
    shape_contrast: float
    """Euclidean in RGB of 255."""

    @property
    def noun_probability(self) -> float:
        """Of the noun that is measured."""
        return self.noun_chances[self.scene.attributes.noun]

    @property
    def emoji_gain(self) -> float:
        """Sum of squares that the emoji explains at the size that is measured."""
        return self.emoji_gains[self.scene.attributes.size]


def measure_scenes(pictures: UInt8[Tensor, "case 3 64 64"]) -> list[Measured]:
    """Measure every attribute and nuisance of every picture (tens of milliseconds each)."""
    return [one for chunk in pictures.split(CHUNK) for one in _measure_chunk(chunk)]


def _measure_chunk(pictures: Tensor) -> list[Measured]:
    colours = measure_colours(pictures)
    waves = fit_waves(pictures, find_background(pictures, colours))
    motifs = classify_motifs(pictures)
    named = [
        (list_nouns()[noun], VENDORS[vendor])
        for noun, vendor in zip(motifs.noun.tolist(), motifs.vendor.tolist(), strict=True)
    ]
    difference = pictures.double() - colours[:, :, None, None]
    explained = _explain(difference, colours, waves, named)
    names = name_colours(colours)
    power = (difference**2).sum(dim=(1, 2, 3)).clamp(min=1)
    return [
        Measured(
            _build_scene(named[k], names[k], pose, waves.textures[k], found.shape),
            tuple(colours[k].tolist()),
            dict(zip(VENDORS, motifs.vendor_chances[k].tolist(), strict=True)),
            dict(zip(list_nouns(), motifs.noun_chances[k].tolist(), strict=True)),
            {size: gain / float(power[k]) for size, gain in pose.gains.items()},
            float(waves.amplitude[k]),
            float(np.linalg.norm(found.relative)),
        )
        for k, (pose, found) in enumerate(explained)
    ]


def _explain(
    difference: Tensor, colours: Tensor, waves: Waves, named: list[tuple[str, str]]
) -> list[tuple[Pose, FoundShape]]:
    """Find emoji and second shape, in whichever order explains more.

    An emoji of the background's colour would be found on the second shape, and a second shape
    may be found on an emoji of one colour; not both in one picture.
    """
    flat = difference - _render_waves(waves)
    shapes_first = find_shapes(flat, colours)
    without = difference - torch.from_numpy(np.stack([one.render() for one in shapes_first]))
    poses = find_poses(torch.cat([difference, without]), colours.repeat(2, 1), 2 * named)
    poses_first, poses_second = poses[: len(named)], poses[len(named) :]
    shapes_second = find_shapes(flat * _find_uncovered(named, poses_first), colours)
    one_way = zip(poses_first, shapes_second, strict=True)
    other_way = zip(poses_second, shapes_first, strict=True)
    return [
        max(pair, key=lambda found: found[0].gain + found[1].gain)
        for pair in zip(one_way, other_way, strict=True)
    ]


def _render_waves(waves: Waves) -> Tensor:
    pairs = zip(waves.amplitude.tolist(), waves.textures, strict=True)
    return torch.from_numpy(np.stack([a * render_texture(one)[None] for a, one in pairs]))


def _find_uncovered(named: list[tuple[str, str]], poses: list[Pose]) -> Tensor:
    """Mark by 1 where neither the emoji nor its edge is."""
    alphas = [
        render_emoji(
            noun, vendor, side=SIZES[pose.size], angle=pose.angle, centre=pose.centre
        ).alpha[None]
        for (noun, vendor), pose in zip(named, poses, strict=True)
    ]
    width = 2 * EMOJI_EDGE + 1
    covered = F.max_pool2d(torch.from_numpy(np.stack(alphas)), width, stride=1, padding=EMOJI_EDGE)
    return (covered == 0).double()


def _build_scene(
    motif: tuple[str, str], colour: str, pose: Pose, texture: Texture, shape: Shape
) -> Scene:
    x, y = pose.centre
    cell = min(CELLS, key=lambda name: np.hypot(x - CELLS[name][0], y - CELLS[name][1]))
    dx, dy = x - CELLS[cell][0], y - CELLS[cell][1]
    attributes = Attributes(*motif, colour, pose.size, cell)
    return Scene(attributes, Nuisances(pose.angle, dx, dy, texture, shape))
