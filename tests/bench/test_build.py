"""The whole making of a zoo model, far too short to learn anything."""

import json

import pytest
import torch

from equipoise.bench import build
from equipoise.zoo import package, recipe
from equipoise.zoo.package import load_zoo

TINY = {
    "num_images": 60,
    "num_held_out": 5,
    "steps": 4,
    "warmup": 2,
    "batch": 4,
    "channels": (8, 16),
}


@pytest.fixture
def tiny_zoo(monkeypatch):
    recipes = {
        name: spec.model_copy(update=TINY | ({"per_cell": 2} if spec.per_cell else {}))
        for name, spec in recipe.RECIPES.items()
    }
    monkeypatch.setattr(package, "RECIPES", recipes)
    pictures = torch.randint(0, 256, (60, 28, 28), dtype=torch.uint8)
    monkeypatch.setattr(build, "read_images", lambda *_: pictures)
    return recipes


@pytest.mark.parametrize("name", ["edm-fashion", "edm-fashion-clean"])
def test_a_trained_package_loads_again_and_its_card_is_complete(tiny_zoo, tmp_path, name):
    for spec in tiny_zoo.values():
        build.train_zoo_model(spec, tmp_path, tmp_path)
    model = load_zoo(name, tmp_path)
    card = json.loads((tmp_path / name / "card.json").read_text())
    assert card["fingerprint"] == build.fingerprint(model.denoiser)
    assert len(card["planted"]) == (12 if name == "edm-fashion" else 0)
    keys = {"recipe", "data", "originals_sha256", "rows", "licence", "training", "parameters"}
    assert keys <= set(card)
