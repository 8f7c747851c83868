r"""Pictures of emoji scenes: the background's wave, the second shape, the emoji, back to front.

    picture = (1 - a) b + e,    b = (1 - m) (colour + A cos(2 pi w.(p - middle) + phase)) + m shape

with `e` the emoji's colours times its opacity `a`, and `m` the coverage of the shape. The emoji is
sampled from its source by one bicubic map at twice the resolution and averaged 2 x 2, so that a
place is exact to a part of a pixel; the shape's edge is antialiased by its signed distance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from PIL import Image
from torch import Tensor

from equipoise.zoo.emoji import SOURCE_SIDE, load_emoji
from equipoise.zoo.scene import (
    COLOURS,
    SHAPE_RADIUS,
    SIDE,
    SIZES,
    TEXTURE_AMPLITUDE,
    Scene,
    Shape,
    Texture,
)

OVERSAMPLING = 2
CENTRES = np.arange(SIDE) + 0.5  # px
SQUARE_HALF = SHAPE_RADIUS * np.sqrt(np.pi) / 2  # half a side, px
TRIANGLE_INRADIUS = SHAPE_RADIUS * np.sqrt(np.pi / (3 * np.sqrt(3)))  # px
TRIANGLE_NORMALS = np.deg2rad([90, 210, 330])  # of its sides, y down: it points up


@dataclass(frozen=True)
class Emoji:
    """An emoji on the canvas: its colours times its opacity, of 255, and its opacity."""

    colour: Float64[np.ndarray, "3 64 64"]
    alpha: Float64[np.ndarray, "64 64"]


def render_scenes(scenes: Sequence[Scene]) -> UInt8[Tensor, "case 3 64 64"]:
    """Render each scene, 8 bits a channel."""
    return torch.stack([torch.from_numpy(_render_scene(scene)) for scene in scenes])


def render_emoji(
    noun: str, vendor: str, *, side: float, angle: float, centre: tuple[float, float]
) -> Emoji:
    """Render one emoji on an empty canvas.

    Args:
        noun: What it shows.
        vendor: In whose style.
        side: Side of its box, px.
        angle: Rotation, degrees, counter-clockwise as it is seen.
        centre: Middle of its box, px.
    """
    size = SIDE * OVERSAMPLING
    picture = load_emoji(noun, vendor).transform(
        (size, size),
        Image.Transform.AFFINE,
        _map_to_source(side, angle, centre),
        resample=Image.Resampling.BICUBIC,
    )
    fine = np.asarray(picture, dtype=np.float64)
    rows = fine[::2] + fine[1::2]
    blocks = (rows[:, ::2] + rows[:, 1::2]) / OVERSAMPLING**2
    return Emoji(blocks[..., :3].transpose(2, 0, 1), blocks[..., 3] / 255)


def render_texture(texture: Texture) -> Float64[np.ndarray, "64 64"]:
    """Render the wave of the background, of amplitude 1."""
    direction = np.deg2rad(texture.direction)
    x, y = CENTRES[None, :] - SIDE / 2, CENTRES[:, None] - SIDE / 2
    along = (x * np.cos(direction) + y * np.sin(direction)) / texture.wavelength
    return np.cos(2 * np.pi * along + np.deg2rad(texture.phase))


def render_coverage(kind: str, *, x: float, y: float) -> Float64[np.ndarray, "64 64"]:
    """Render which share of every pixel a second shape covers."""
    right, down = CENTRES[None, :] - x, CENTRES[:, None] - y
    if kind == "disc":
        distance = np.hypot(right, down) - SHAPE_RADIUS
    elif kind == "square":
        distance = np.maximum(np.abs(right), np.abs(down)) - SQUARE_HALF
    else:
        sides = [right * np.cos(a) + down * np.sin(a) for a in TRIANGLE_NORMALS]
        distance = np.maximum.reduce(sides) - TRIANGLE_INRADIUS
    return np.clip(0.5 - distance, 0, 1)


def _render_scene(scene: Scene) -> UInt8[np.ndarray, "3 64 64"]:
    attributes, nuisances = scene.attributes, scene.nuisances
    colour = np.array(COLOURS[attributes.colour], dtype=np.float64)[:, None, None]
    background = colour + TEXTURE_AMPLITUDE * render_texture(nuisances.texture)
    emoji = render_emoji(
        attributes.noun, attributes.vendor, side=SIZES[attributes.size],
        angle=nuisances.angle, centre=scene.centre,
    )  # fmt: skip
    behind = _lay_shape(background, nuisances.shape)
    picture = (1 - emoji.alpha) * behind + emoji.colour
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _lay_shape(background: np.ndarray, shape: Shape) -> np.ndarray:
    coverage = render_coverage(shape.kind, x=shape.x, y=shape.y)
    return (1 - coverage) * background + coverage * np.array(shape.rgb)[:, None, None]


def _map_to_source(
    side: float, angle: float, centre: tuple[float, float]
) -> tuple[float, float, float, float, float, float]:
    """Return Pillow's six numbers: where in the source a point of the fine canvas comes from."""
    scale = SOURCE_SIDE / (side * OVERSAMPLING)
    cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
    x, y = centre[0] * OVERSAMPLING, centre[1] * OVERSAMPLING
    middle = SOURCE_SIDE / 2
    return (cos, -sin, middle - cos * x + sin * y, sin, cos, middle - sin * x - cos * y)
