"""One concept on a model that is no network: outputs are what the test draws."""

import numpy as np
import pytest
import torch

from equipoise.bench.concept import Concept, ConceptSet, Reading
from equipoise.bench.concept_response import measure_concept
from equipoise.bench.generation import Seeds, Studio
from equipoise.bench.random_directions import RandomDirections
from equipoise.steering import ConceptVector, VectorRecord

STRENGTHS = (0.25, 0.5, 1.0)
GENERATOR = torch.Generator().manual_seed(0)
PLAIN = torch.randint(60, 100, (6, 1, 8, 8), generator=GENERATOR, dtype=torch.uint8)


class Brightness(ConceptSet):
    """Shows the concept when it is bright; asking for it makes it white."""

    concepts = (Concept("bright", "light", "bright"),)

    def read(self, pictures):
        scores = pictures.flatten(1).double().mean(dim=1).numpy()[:, None] / 255
        return Reading(scores, [{"light": "bright" if s > 0.5 else "dark"} for s in scores[:, 0]])

    def chances(self, reading, place):
        return np.array([float(one["light"] == "bright") for one in reading.shown])

    def draw_references(self, concept, *, count, seed):
        return PLAIN[:count] + 120, PLAIN[:count]

    def ask_for(self, concept, item_ids, *, seed):
        return torch.ones(len(item_ids))


class Drawing(Studio):
    """Adds 100 grey levels a unit of strength of the vector, nothing for a null."""

    def __init__(self):
        self.seed = 0

    def draw(self, seeds, vector, strengths):
        return torch.stack(
            [(PLAIN + 100 * a * float(vector.tensors["a:out"])).byte() for a in strengths]
        )

    def draw_plain(self, seeds):
        return torch.full_like(PLAIN, 255) if seeds.conditions is not None else PLAIN


class Still(RandomDirections):
    """Changes a score by .01 a unit of strength."""

    def __init__(self):
        pass

    def measure(self, strength):
        return np.full((4, 1), 0.01 * strength)


def make(gain):
    record = VectorRecord(
        model="m", fingerprint="f", kind="pooled", sigmas=(1.0,), rms={"a:out": (1.0,)},
        recipe={"gap": {}},
    )  # fmt: skip
    return ConceptVector(record, {"a:out": torch.full((1, 1), gain)}, {"a:out": torch.ones(1, 1)})


def test_the_figures_are_those_of_a_straight_line():
    seeds = Seeds([str(k) for k in range(6)], None)
    measured = measure_concept(
        Drawing(), Brightness(), 0, seeds, make(1.0), make(0.0),
        random=Still(), strengths=STRENGTHS, references=5,
    )  # fmt: skip
    told = measured.figures
    assert told["spearman"]["value"] == 1
    assert told["slope"]["value"] == pytest.approx(100 / 255, rel=1e-2)
    assert told["falling"] == 0
    at = told["gain"]["strength"]
    assert told["gain"]["value"] == pytest.approx(100 * at / 255, rel=1e-2)
    assert told["gain_over_random"]["value"] == pytest.approx(told["gain"]["value"] / (0.01 * at))
    assert told["shuffled_change"] == 0
    assert told["best"] == {"strength": 0.5, "p": 1.0}  # the first at which all are bright
    assert told["prompt_edit"]["p"] == 1
    assert told["prompt_edit"]["gain"]["value"] == pytest.approx(
        1 - float(PLAIN.double().mean()) / 255
    )
    assert told["pixel_mean"]["p"] == 1
    assert told["score_curve"][0]["value"] == pytest.approx(float(PLAIN.double().mean()) / 255)
    assert measured.drawn.shape == (4, 6, 1, 8, 8)
