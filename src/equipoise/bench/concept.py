"""What is steered to, and by what it is judged: the concepts of a family of zoo models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

Pictures = UInt8[Tensor, "case channel height width"]


@dataclass(frozen=True)
class Concept:
    """One value of one attribute, such as the size large."""

    name: str
    attribute: str
    value: str


@dataclass(frozen=True)
class Reading:
    """What an instrument reads of pictures.

    Args:
        scores: How much of each concept every picture shows, about 0 to 1.
        shown: Every picture's attributes by name.
    """

    scores: Float[np.ndarray, "case concept"]
    shown: Sequence[dict[str, str]]


@runtime_checkable
class ConceptSet(Protocol):
    """Concepts, pictures that show them, and an instrument that is not the steered network."""

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """What is steered to; the columns of `Reading.scores`."""
        ...

    def describe_instrument(self) -> dict[str, Any]:
        """Say what judges, and how often it is right on real pictures."""
        ...

    def read(self, pictures: Pictures) -> Reading:
        """Read pictures with the instrument."""
        ...

    def chances(self, reading: Reading, place: int) -> Float[np.ndarray, " case"]:
        """Return how surely each picture counts as showing the concept at a place, 0 to 1."""
        ...

    def draw_references(self, concept: Concept, *, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw real pictures with a concept, and as many without; the instrument saw none."""
        ...

    def caption_references(
        self, concept: Concept, *, count: int, seed: int
    ) -> tuple[Sequence[str], Sequence[str]] | None:
        """Return the captions of those pictures, on both sides; None: they have none."""
        ...

    def draw_held_out(self, *, count: int, seed: int) -> Pictures:
        """Draw real pictures that the model was not trained on and that show no concept."""
        ...

    def draw_conditions(self, item_ids: Sequence[str], *, seed: int) -> Tensor | None:
        """Draw what outputs are asked for that are to be steered: no concept, or nothing."""
        ...

    def ask_for(self, concept: Concept, item_ids: Sequence[str], *, seed: int) -> Tensor | None:
        """Return the same requests with the concept asked for; None: the model takes none."""
        ...
