"""Editing many pictures at once, against editing them one by one."""

import numpy as np
import pytest
import torch

from equipoise.bench.concept import Concept, ConceptSet, Reading
from equipoise.bench.edited import measure_editing
from equipoise.bench.generation import Studio
from equipoise.images import as_unit, quantize
from equipoise.steering import build_vector
from equipoise.steering.editing import edit_picture
from equipoise.zoo.package import ZooModel
from equipoise.zoo.planting import build_training_set
from equipoise.zoo.recipe import EDM

GENERATOR = torch.Generator().manual_seed(0)
PICTURES = torch.randint(0, 256, (9, 1, 16, 16), generator=GENERATOR, dtype=torch.uint8)


class Brightness(ConceptSet):
    concepts = (Concept("bright", "light", "bright"),)

    def read(self, pictures):
        scores = pictures.flatten(1).double().mean(dim=1).numpy()[:, None] / 255
        shown = [{"light": str(s > 0.5), "corner": str(int(p[0, 0, 0]) > 99)}
                 for s, p in zip(scores[:, 0], pictures, strict=True)]  # fmt: skip
        return Reading(scores, shown)

    def chances(self, reading, place):
        return (reading.scores[:, place] > 0.5).astype(float)

    def draw_references(self, concept, *, count, seed):
        return PICTURES[:count] // 2 + 127, PICTURES[:count] // 2

    def draw_held_out(self, *, count, seed):
        return PICTURES[-count:]


def test_a_batch_is_edited_as_its_pictures_one_by_one(tiny_edm):
    training = build_training_set(PICTURES, torch.zeros(9, dtype=torch.long), ())
    model = ZooModel(tiny_edm, EDM, {}, training, PICTURES)
    known, window = Brightness(), (0.05, 0.4)
    shown, without = known.draw_references(known.concepts[0], count=4, seed=0)
    vector = build_vector(tiny_edm, as_unit(shown), as_unit(without), name="tiny")
    studio = Studio(model, seed=0, steps=6, window=window)
    told, strips = measure_editing(
        studio, known, [vector], count=2, strengths=(0.5, 1.0), references=4
    )
    singly = [
        edit_picture(
            tiny_edm, as_unit(picture), vector, strengths=[0.0, 0.5, 1.0],
            sigmas=studio.list_sigmas(), start=window[1], window=window,
        )
        for picture in PICTURES[-2:]
    ]  # fmt: skip
    studio.close()
    strip = strips["edit bright"]
    assert np.array_equal(strip[0], PICTURES[-2:].numpy())
    for row, edit in enumerate(singly):
        apart = strip[1:, row].astype(int) - quantize(edit.pictures).numpy().astype(int)
        assert abs(apart).max() <= 1
    assert told["inversion_error"]["value"] == pytest.approx(
        np.mean([edit.error for edit in singly]), abs=3e-3
    )
    [concept] = told["concepts"]
    means = strip[1:].astype(float).reshape(3, 2, -1).mean(axis=2) / 255
    best = means.mean(axis=1).argmax()
    assert concept["gain"]["value"] == pytest.approx((means[best] - means[0]).mean())
    apart = np.sqrt(((strip[1:].astype(float) - strip[0]) ** 2).reshape(3, 2, -1).mean(axis=2))
    between = np.sqrt(((strip[0, 0].astype(float) - strip[0, 1]) ** 2).mean())
    assert concept["drift_curve"] == pytest.approx(list(apart.mean(axis=1) / between))
    assert concept["kept_curve"][0] == 1
    assert told["start"] <= window[1]
