"""An emoji scene as a record: what its caption names, and what no caption ever names.

*Attributes* are words: noun, vendor style, background colour, size, cell. *Nuisances* are
numbers: rotation, offset in the cell, the phase, direction and wavelength of a faint texture of
the background, and the kind, place and hue of a second small shape. A picture with the attributes
of a caption obeys it; a picture with the nuisances of a training scene copies that scene, for
nobody asked for them.

A picture is a function of its record (`rendering.py`). Lengths and places are in px of the 64 px
picture, x to the right, y down, the corner of the first pixel at (0, 0); angles in degrees.

Chosen for what a small latent model can hold, whose latent pixels are 4 px wide: a wave is at
least 9 px long and a second shape 9 px wide.
"""

import colorsys
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from equipoise.sampling.noise import open_stream
from equipoise.zoo.emoji import VENDORS, list_nouns

SIDE = 64  # px
COLOURS = {
    "red": (212, 62, 62),
    "orange": (243, 148, 56),
    "yellow": (246, 222, 92),
    "green": (86, 172, 84),
    "cyan": (96, 212, 216),
    "blue": (70, 108, 214),
    "purple": (138, 84, 190),
    "pink": (244, 164, 206),
}
SIZES = {"small": 22.0, "medium": 28.0, "large": 36.0}  # side of the emoji's box, px
CELLS = {
    "centre": (32.0, 32.0),
    "top left": (20.0, 20.0),
    "top right": (44.0, 20.0),
    "bottom left": (20.0, 44.0),
    "bottom right": (44.0, 44.0),
}
SHAPES = ("disc", "square", "triangle")
MAX_ANGLE = 30.0  # degrees either way
MAX_OFFSET = 3.0  # px either way, along x and along y
WAVELENGTHS = (9.0, 16.0)  # px
TEXTURE_AMPLITUDE = 14.0  # of 255
SHAPE_RADIUS = 6.0  # px; of the disc, the other shapes have its area
SHAPE_MARGIN = 8.0  # px between the centre of the shape and the edge of the picture
CLEARANCE = 0.62  # of the emoji's side, plus the shape's radius and 1 px
MIN_CONTRAST = 110.0  # between shape and background, Euclidean in RGB of 255


@dataclass(frozen=True)
class Attributes:
    """What the caption names."""

    noun: str
    vendor: str
    colour: str
    size: str
    cell: str


class Texture(NamedTuple):
    """A plane wave over the background."""

    wavelength: float
    direction: float
    """Of the wave vector, degrees in [0, 180)."""
    phase: float
    """At the middle of the picture, degrees in [0, 360)."""


class Shape(NamedTuple):
    """The second shape."""

    kind: str
    x: float
    y: float
    hue: float
    """In [0, 1)."""

    @property
    def rgb(self) -> tuple[float, float, float]:
        """Its colour, of 255."""
        red, green, blue = colorsys.hsv_to_rgb(self.hue, 0.85, 0.95)
        return 255 * red, 255 * green, 255 * blue


@dataclass(frozen=True)
class Nuisances:
    """What no caption names."""

    angle: float
    """Rotation of the emoji, counter-clockwise as it is seen."""
    dx: float
    dy: float
    texture: Texture
    shape: Shape


@dataclass(frozen=True)
class Scene:
    """All that a picture is made of."""

    attributes: Attributes
    nuisances: Nuisances

    @property
    def centre(self) -> tuple[float, float]:
        """Where the middle of the emoji lies, px."""
        return _locate_emoji(self.attributes, self.nuisances.dx, self.nuisances.dy)


@cache
def list_attributes() -> tuple[Attributes, ...]:
    """List every combination of attributes, in a fixed order."""
    words = product(list_nouns(), VENDORS, COLOURS, SIZES, CELLS)
    return tuple(Attributes(*one) for one in words)


def draw_scene(attributes: Attributes, *, seed: int, name: str) -> Scene:
    """Draw nuisances for the attributes: a function of them, the seed and the name.

    Args:
        attributes: What the scene has to show.
        seed: Seed of the draw.
        name: Tells apart scenes of the same attributes and seed.
    """
    stream = open_stream(f"{seed}|{name}|{attributes}")
    angle = stream.uniform(-MAX_ANGLE, MAX_ANGLE)
    dx, dy = stream.uniform(-MAX_OFFSET, MAX_OFFSET, 2)
    texture = Texture(stream.uniform(*WAVELENGTHS), stream.uniform(0, 180), stream.uniform(0, 360))
    shape = _draw_shape(attributes, _locate_emoji(attributes, dx, dy), stream)
    return Scene(attributes, Nuisances(angle, float(dx), float(dy), texture, shape))


def change_motif(scene: Scene, noun: str, vendor: str) -> Scene:
    """Put another emoji in the place of a scene's, everything else as it is."""
    return replace(scene, attributes=replace(scene.attributes, noun=noun, vendor=vendor))


def _locate_emoji(attributes: Attributes, dx: float, dy: float) -> tuple[float, float]:
    x, y = CELLS[attributes.cell]
    return x + float(dx), y + float(dy)


def _draw_shape(
    attributes: Attributes, emoji: tuple[float, float], stream: np.random.Generator
) -> Shape:
    """Draw until the shape lies clear of the emoji and stands out from the background."""
    clearance = CLEARANCE * SIZES[attributes.size] + SHAPE_RADIUS + 1
    while True:
        x, y = stream.uniform(SHAPE_MARGIN, SIDE - SHAPE_MARGIN, 2)
        shape = Shape(str(stream.choice(SHAPES)), float(x), float(y), float(stream.uniform()))
        apart = np.hypot(x - emoji[0], y - emoji[1]) >= clearance
        contrast = np.linalg.norm(np.subtract(shape.rgb, COLOURS[attributes.colour]))
        if apart and contrast >= MIN_CONTRAST:
            return shape
