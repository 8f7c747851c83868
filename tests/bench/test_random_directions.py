import numpy as np
import pytest
import torch

from equipoise.bench.concept import Concept, ConceptSet, Reading
from equipoise.bench.generation import Seeds, Studio
from equipoise.bench.random_directions import RandomDirections
from equipoise.steering import ConceptVector, VectorRecord

PLAIN = torch.tensor([100, 50], dtype=torch.uint8).reshape(2, 1, 1, 1)


class Brightness(ConceptSet):
    concepts = (Concept("bright", "light", "bright"), Concept("dark", "light", "dark"))

    def read(self, pictures):
        bright = pictures.flatten(1).double().mean(dim=1).numpy()
        return Reading(np.stack([bright, 255 - bright], axis=1), [])


class Drawing(Studio):
    """A direction adds as many grey levels a unit of strength as its number says."""

    def __init__(self):
        self.asked = []

    def draw_plain(self, seeds):
        return PLAIN

    def draw_each(self, seeds, vectors, strength):
        self.asked.append(strength)
        return torch.stack(
            [(PLAIN + strength * float(v.tensors["a:out"])).byte() for v in vectors]
        )


def make(levels):
    record = VectorRecord(
        model="m", fingerprint="f", kind="pooled", sigmas=(1.0,), rms={"a:out": (1.0,)}
    )
    return ConceptVector(
        record, {"a:out": torch.full((1, 1), levels)}, {"a:out": torch.ones(1, 1)}
    )


def test_changes_count_either_way_and_follow_the_strength():
    studio, seeds = Drawing(), Seeds(["a", "b"], None)
    random = RandomDirections(studio, Brightness(), seeds, [make(20.0), make(-10.0)])
    assert random.measure(1.0) == pytest.approx(np.array([[20, 20], [10, 10]]))
    assert random.measure(0.5) == pytest.approx(np.array([[10, 10], [5, 5]]))
    random.measure(1.0)
    assert studio.asked == [1.0, 0.5]
