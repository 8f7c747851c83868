"""Random directions, the null of steering: what any vector of that size does to the scores."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from equipoise.bench.concept import ConceptSet
from equipoise.bench.generation import Seeds, Studio
from equipoise.steering import ConceptVector


class RandomDirections:
    """Directions of one size, applied to the same outputs at whatever strength is asked for."""

    def __init__(
        self, studio: Studio, known: ConceptSet, seeds: Seeds, directions: Sequence[ConceptVector]
    ) -> None:
        self._studio, self._known = studio, known
        self._seeds, self._directions = seeds, directions
        self._plain = known.read(studio.draw_plain(seeds)).scores
        self._changes: dict[float, Float[np.ndarray, "direction concept"]] = {}

    def measure(self, strength: float) -> Float[np.ndarray, "direction concept"]:
        """Return the mean absolute change of every concept's score by each direction.

        A strength that was asked for before is not drawn again.
        """
        if strength not in self._changes:
            drawn = self._studio.draw_each(self._seeds, self._directions, strength)
            scores = [self._known.read(pictures).scores for pictures in drawn]
            self._changes[strength] = np.stack(
                [np.abs(one - self._plain).mean(axis=0) for one in scores]
            )
        return self._changes[strength]
