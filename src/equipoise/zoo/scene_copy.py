r"""Which outputs copy a training scene: by distance, and by agreement of nuisances.

**By distance.** The rule of `labels/nearest.py` (d1 over the mean of the next 50, variants counted
as one), on pictures from which the caption's part is taken out as far as pixels allow: the colour
of the background is subtracted, and what is left is blurred and averaged to 16 x 16, so that the
blur of an autoencoder or a shift of a pixel does not hide a copy. Texture, second shape, place and
rotation of the emoji remain. A re-rendered scene has the caption's part and none of these.

A template recurs whatever the noun. Outputs with the background colour of a planted template are
compared a second time, to all training pictures, with the template's emoji covered in every
picture; the lower ratio counts.

**By nuisances.** Output and nearest picture are measured by the same instruments
(`measurement.py`). Four independent groups may agree: the emoji's pose, the texture, the place of
the second shape, its hue. Three or four make a copy, two are grey. The tolerances were chosen on
one drawn set and are reported on another (docs/emoji.md).

The two rules err differently: the first sees whole pictures and knows no words, the second names
what was remembered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.nn import functional as F

from equipoise.labels.nearest import Label, NearestLabels, label_by_nearest
from equipoise.zoo.background import measure_colours, name_colours
from equipoise.zoo.distortion import blur_pictures
from equipoise.zoo.measurement import measure_scenes
from equipoise.zoo.scene import CLEARANCE, SIDE, SIZES, Nuisances, Scene, Texture
from equipoise.zoo.scene_set import SceneSet

BLUR = 2.0  # px, standard deviation
POOLED = 4  # px
EXPLAINED_LEVEL = 128  # what the background's colour becomes
COVER_MARGIN = 2.0  # px around a template's emoji
CHUNK = 256
GROUPS = ("pose", "texture", "place", "hue")
MAX_TURN = 8.0  # degrees
MAX_MOVE = 2.0  # px, of the emoji
MAX_WAVE = 0.6  # periods over the picture, between wave vectors
MAX_PHASE = 60.0  # degrees
MAX_SHAPE_MOVE = 2.5  # px
MAX_HUE = 0.06  # of the circle
COPY_AGREEMENTS = 3


@dataclass(frozen=True)
class Agreements:
    """Per case: which groups of nuisances agree, columns in the order of `GROUPS`."""

    agrees: Bool[Tensor, "case 4"]

    def names(self) -> list[Label]:
        """Return the label of every case."""
        return [
            "copy" if n >= COPY_AGREEMENTS else "grey" if n == COPY_AGREEMENTS - 1 else "novel"
            for n in self.agrees.sum(dim=1).tolist()
        ]


def label_by_distance(outputs: UInt8[Tensor, "case 3 64 64"], training: SceneSet) -> NearestLabels:
    """Label outputs by their nearest training picture, and by the surroundings of templates.

    Args:
        outputs: What to label.
        training: The pictures a model was trained on, with what was planted.
    """
    samples, pictures = reduce_pictures(outputs), reduce_pictures(training.images)
    labels = label_by_nearest(samples, pictures, training.group)
    colours = name_colours(measure_colours(outputs))
    for item in training.planted:
        template = training.scenes[item.index]
        cases = [k for k, c in enumerate(colours) if c == template.attributes.colour]
        if item.kind == "template" and cases:
            cover = cover_emoji(template, step=POOLED)
            around = label_by_nearest(
                samples[cases].masked_fill(cover, EXPLAINED_LEVEL),
                pictures.masked_fill(cover, EXPLAINED_LEVEL),
                training.group,
            )
            labels = _take_lower(labels, torch.tensor(cases), around, item.index)
    return labels


def compare_nuisances(
    outputs: Sequence[Scene], pictures: UInt8[Tensor, "case 3 64 64"]
) -> Agreements:
    """Compare the nuisances of each output with those of one picture, both as they are measured.

    Args:
        outputs: What was measured of the outputs.
        pictures: The training picture nearest to each.
    """
    distinct, place = torch.unique(pictures.flatten(1), dim=0, return_inverse=True)
    known = measure_scenes(distinct.unflatten(1, pictures.shape[1:]))
    return compare_scenes(outputs, [known[k].scene for k in place.tolist()])


def compare_scenes(scenes: Sequence[Scene], others: Sequence[Scene]) -> Agreements:
    """Say which groups of nuisances agree within the tolerances, pair by pair."""
    pairs = zip(scenes, others, strict=True)
    return Agreements(torch.tensor([_compare(one, other) for one, other in pairs]))


def reduce_pictures(pictures: UInt8[Tensor, "case 3 64 64"]) -> UInt8[Tensor, "case 3 16 16"]:
    """Take the background's colour out, blur and average: what distances are taken on."""
    return torch.cat([_reduce(chunk) for chunk in pictures.split(CHUNK)])


def _reduce(pictures: Tensor) -> Tensor:
    colours = measure_colours(pictures).float()
    difference = pictures.float() - colours[:, :, None, None]
    smooth = F.avg_pool2d(blur_pictures(difference, BLUR), POOLED)
    return (smooth + EXPLAINED_LEVEL).clamp(0, 255).round().to(torch.uint8)


def cover_emoji(scene: Scene, *, step: int = 1) -> Bool[Tensor, "row column"]:
    """Say which cells of `step` px a side the emoji of a scene may reach: what is not template."""
    centres = torch.arange(SIDE // step) * step + step / 2
    x, y = scene.centre
    distance = torch.hypot(centres[None, :] - x, centres[:, None] - y)
    return distance < CLEARANCE * SIZES[scene.attributes.size] + COVER_MARGIN


def _take_lower(
    labels: NearestLabels, cases: Tensor, around: NearestLabels, template: int
) -> NearestLabels:
    """Take the ratio around the template for the cases it is nearest to and lower for."""
    better = (around.nearest == template) & (around.ratio < labels.ratio[cases])
    chosen = cases[better]
    return NearestLabels(
        labels.ratio.index_put((chosen,), around.ratio[better]),
        labels.nearest.index_put((chosen,), around.nearest[better]),
        labels.picture.index_put((chosen,), around.picture[better]),
    )


def _compare(scene: Scene, other: Scene) -> tuple[bool, bool, bool, bool]:
    one, two = scene.nuisances, other.nuisances
    moved = np.hypot(*np.subtract(scene.centre, other.centre))
    return (
        bool(abs(one.angle - two.angle) < MAX_TURN and moved < MAX_MOVE),
        _is_same_wave(one.texture, two.texture),
        _is_same_place(one, two),
        bool(abs(_wrap(one.shape.hue - two.shape.hue, 1.0)) < MAX_HUE),
    )


def _is_same_wave(one: Texture, two: Texture) -> bool:
    """Compare wave vectors and phases; f with a phase is -f with the opposite phase."""
    f, phase = _find_wave_vector(one), one.phase
    g = _find_wave_vector(two)
    if np.linalg.norm(f + g) < np.linalg.norm(f - g):
        f, phase = -f, -phase
    apart = SIDE * np.linalg.norm(f - g)
    return bool(apart < MAX_WAVE and abs(_wrap(phase - two.phase, 360.0)) < MAX_PHASE)


def _find_wave_vector(texture: Texture) -> np.ndarray:
    direction = np.deg2rad(texture.direction)
    return np.array([np.cos(direction), np.sin(direction)]) / texture.wavelength


def _is_same_place(one: Nuisances, two: Nuisances) -> bool:
    moved = np.hypot(one.shape.x - two.shape.x, one.shape.y - two.shape.y)
    return bool(moved < MAX_SHAPE_MOVE)


def _wrap(difference: float, period: float) -> float:
    """Bring a difference on a circle into half a period either way."""
    return (difference + period / 2) % period - period / 2
