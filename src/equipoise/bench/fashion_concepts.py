"""The classes of the Fashion models as concepts, judged by a classifier of real pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.bench.concept import Concept, Pictures, Reading
from equipoise.bench.instrument import NAME, NUM_FITTED, build_instrument, get_classes
from equipoise.errors import BadInputError
from equipoise.sampling.noise import open_stream
from equipoise.zoo.fashion import CLASSES
from equipoise.zoo.package import ZooModel
from equipoise.zoo.recipe import DitRecipe


class FashionConcepts:
    """Fresh outputs are asked for nothing; references are no pictures the judge was fitted on."""

    def __init__(self, model: ZooModel, names: Sequence[str]) -> None:
        unknown = sorted(set(names) - set(CLASSES))
        if unknown:
            raise BadInputError(f'No class "{unknown[0]}": known are {", ".join(CLASSES)}.')
        self.concepts = tuple(Concept(name, "class", name) for name in names)
        self._labels = [CLASSES.index(name) for name in names]
        self._conditional = isinstance(model.recipe, DitRecipe)
        self._held_out = model.held_out
        self._images = model.training_set.images[NUM_FITTED : model.recipe.num_images]
        self._classes = get_classes(model)[NUM_FITTED : model.recipe.num_images].numpy()
        self._instrument = build_instrument(model)

    def describe_instrument(self) -> dict[str, Any]:
        """Say what judges, how often it is right, and what it takes noise for."""
        judge = self._instrument
        return {"name": NAME, "accuracy": judge.accuracy, "noise": judge.judge_noise()}

    def read(self, pictures: Pictures) -> Reading:
        """Return the probability of every class that is steered to, and the likeliest of all."""
        chances = self._instrument.score(pictures)
        shown = [{"class": CLASSES[label]} for label in chances.argmax(axis=1)]
        return Reading(chances[:, self._labels], shown)

    def chances(self, reading: Reading, place: int) -> Float[np.ndarray, " case"]:
        """Return the probability of the class."""
        return reading.scores[:, place]

    def draw_references(self, concept: Concept, *, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw real pictures of a class, and as many of the others."""
        label = CLASSES.index(concept.value)
        stream = open_stream(f"{seed}|references|{label}")
        shown, without = (
            self._images[torch.from_numpy(stream.permutation(np.flatnonzero(mask))[:count])]
            for mask in (self._classes == label, self._classes != label)
        )
        return shown, without

    def caption_references(self, concept: Concept, *, count: int, seed: int) -> None:
        """Say that there are no captions."""
        return None

    def draw_held_out(self, *, count: int, seed: int) -> Pictures:
        """Draw pictures of the test split."""
        order = open_stream(f"{seed}|held out").permutation(len(self._held_out))
        return self._held_out[torch.from_numpy(order[:count])]

    def draw_conditions(self, item_ids: Sequence[str], *, seed: int) -> None:
        """Ask for nothing."""
        return None

    def ask_for(self, concept: Concept, item_ids: Sequence[str], *, seed: int) -> Tensor | None:
        """Ask for the class, where the model takes one."""
        if not self._conditional:
            return None
        return torch.full((len(item_ids),), CLASSES.index(concept.value))
