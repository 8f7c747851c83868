"""Attributes of emoji scenes as concepts, judged by the exact measurement of the picture.

How much of a concept a picture shows, from `zoo/measurement.py`:

    colour   1 less the distance of the background's colour to it, of the largest there is in RGB
    size     what the emoji explains of the picture at this size, less that at the best other size
    vendor   probability of the style
    noun     probability of the noun

References are scenes drawn anew: with the concept, and the same captions with another value in its
place. Outputs that are steered are asked for captions that no training scene has and that show
none of the concepts.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.bench.concept import Concept, Pictures, Reading
from equipoise.bench.interval import exact_rate
from equipoise.denoisers import encode_prompts
from equipoise.errors import BadInputError
from equipoise.sampling.noise import open_stream
from equipoise.zoo.caption import write_caption
from equipoise.zoo.emoji import VENDORS, list_nouns
from equipoise.zoo.measurement import Measured, measure_scenes
from equipoise.zoo.package import ZooModel
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene import (
    COLOURS,
    SIZES,
    Attributes,
    draw_scene,
    list_attributes,
)
from equipoise.zoo.scene_set import SceneSet

VALUES = {
    "colour": tuple(COLOURS), "size": tuple(SIZES), "vendor": VENDORS, "noun": list_nouns(),
}  # fmt: skip
NAME = "exact measurement of the scene"
NUM_CHECKED = 100
"""Fresh scenes on which the instrument is checked."""
WIDEST = 255 * 3**0.5
"""Largest distance of two colours."""


class EmojiConcepts:
    """Concepts by name, "ATTRIBUTE VALUE"."""

    def __init__(self, model: ZooModel, names: Sequence[str]) -> None:
        assert isinstance(model.training_set, SceneSet)
        self.concepts = tuple(parse_concept(name) for name in names)
        self._denoiser = model.denoiser
        every = [scene.attributes for scene in model.training_set.held_out]
        self._free = [one for one in every if not any(_has(one, c) for c in self.concepts)]

    def describe_instrument(self) -> dict[str, Any]:
        """Say how often every attribute of a fresh scene is measured right."""
        chosen = open_stream("instrument").integers(len(list_attributes()), size=NUM_CHECKED)
        scenes = [draw_scene(list_attributes()[k], seed=0, name="instrument") for k in chosen]
        found = measure_scenes(render_scenes(scenes))
        pairs = zip(scenes, found, strict=True)
        right = sum(_tell(true.attributes) == _tell(m.scene.attributes) for true, m in pairs)
        return {"name": NAME, "accuracy": exact_rate(right, len(scenes)), "noise": {}}

    def read(self, pictures: Pictures) -> Reading:
        """Measure every picture."""
        measured = measure_scenes(pictures)
        scores = [[_score(one, concept) for concept in self.concepts] for one in measured]
        table = np.array(scores, dtype=np.float64).reshape(len(measured), len(self.concepts))
        return Reading(table, [_tell(one.scene.attributes) for one in measured])

    def chances(self, reading: Reading, place: int) -> Float[np.ndarray, " case"]:
        """Return 1 for a picture that is measured to have the value."""
        concept = self.concepts[place]
        return np.array([float(o[concept.attribute] == concept.value) for o in reading.shown])

    def draw_references(self, concept: Concept, *, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw scenes with the concept, and with another value of the same attribute."""
        sides = [
            render_scenes([
                draw_scene(one, seed=seed, name=f"reference {side} {k}")
                for k, one in enumerate(attributes)
            ])
            for side, attributes in zip(
                ("with", "without"), _draw_sides(concept, count=count, seed=seed), strict=True
            )
        ]  # fmt: skip
        return sides[0], sides[1]

    def caption_references(
        self, concept: Concept, *, count: int, seed: int
    ) -> tuple[list[str], list[str]]:
        """Write the captions of both sides: pair by pair they differ in one word."""
        shown, without = _draw_sides(concept, count=count, seed=seed)
        return [write_caption(one) for one in shown], [write_caption(one) for one in without]

    def draw_held_out(self, *, count: int, seed: int) -> Pictures:
        """Draw scenes of captions that no training scene has."""
        chosen = self._draw_free([f"held out/{k}" for k in range(count)], seed=seed)
        return render_scenes([
            draw_scene(one, seed=seed, name=f"held out {k}") for k, one in enumerate(chosen)
        ])  # fmt: skip

    def draw_conditions(self, item_ids: Sequence[str], *, seed: int) -> Tensor:
        """Ask for unseen captions that show none of the concepts."""
        captions = [write_caption(one) for one in self._draw_free(item_ids, seed=seed)]
        return encode_prompts(self._denoiser, captions)

    def ask_for(self, concept: Concept, item_ids: Sequence[str], *, seed: int) -> Tensor:
        """Change the one word of each caption."""
        asked = [
            _change(one, concept.attribute, concept.value)
            for one in self._draw_free(item_ids, seed=seed)
        ]
        return encode_prompts(self._denoiser, [write_caption(one) for one in asked])

    def _draw_free(self, item_ids: Sequence[str], *, seed: int) -> list[Attributes]:
        if not self._free:
            raise BadInputError(
                "Every unseen caption shows one of the concepts, so nothing is left to be "
                "steered. Measure fewer concepts at once."
            )
        streams = (open_stream(f"{seed}|{item}|caption") for item in item_ids)
        return [self._free[int(stream.integers(len(self._free)))] for stream in streams]


def parse_concept(name: str) -> Concept:
    """Read "ATTRIBUTE VALUE", such as "size large".

    Raises:
        BadInputError: when there is no such attribute or value.
    """
    attribute, _, value = name.partition(" ")
    if value not in VALUES.get(attribute, ()):
        known = "; ".join(f"{key}: {', '.join(values)}" for key, values in VALUES.items())
        raise BadInputError(f'No concept "{name}" of emoji scenes. Known are {known}.')
    return Concept(name, attribute, value)


def _draw_sides(
    concept: Concept, *, count: int, seed: int
) -> tuple[list[Attributes], list[Attributes]]:
    """Draw what references show: the concept, and the same with another value in its place."""
    stream = open_stream(f"{seed}|references|{concept.name}")
    every = list_attributes()
    chosen = [every[k] for k in stream.integers(len(every), size=count)]
    others = [value for value in VALUES[concept.attribute] if value != concept.value]
    shown = [_change(one, concept.attribute, concept.value) for one in chosen]
    without = [_change(one, concept.attribute, str(stream.choice(others))) for one in chosen]
    return shown, without


def _score(measured: Measured, concept: Concept) -> float:
    if concept.attribute == "colour":
        apart = torch.tensor(measured.colour).sub(torch.tensor(COLOURS[concept.value]))
        return 1 - float(apart.norm()) / WIDEST
    if concept.attribute == "size":
        gains = {size: max(gain, 0.0) for size, gain in measured.emoji_gains.items()}
        return gains.pop(concept.value) - max(gains.values())
    if concept.attribute == "vendor":
        return measured.vendor_chances[concept.value]
    return measured.noun_chances[concept.value]


def _tell(attributes: Attributes) -> dict[str, str]:
    return asdict(attributes)


def _has(attributes: Attributes, concept: Concept) -> bool:
    return getattr(attributes, concept.attribute) == concept.value


def _change(attributes: Attributes, attribute: str, value: str) -> Attributes:
    return replace(attributes, **{attribute: value})
