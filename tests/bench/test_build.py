"""The whole making of a zoo model, far too short to learn anything."""

import gzip
import json
import struct

import pytest
import torch

from equipoise.bench import build
from equipoise.errors import BadInputError
from equipoise.zoo import fashion, package, recipe
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


def write_data(folder):
    """A data set of noise in the format of the real one."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (60, 28, 28), generator=generator, dtype=torch.uint8)
    header = struct.pack(">iiii", 2051, *pixels.shape)
    for name in fashion.FILES.values():
        (folder / name).write_bytes(gzip.compress(header + pixels.numpy().tobytes()))


@pytest.mark.slow
def test_trained_at_once_is_trained_alone(tmp_path):
    """Processes share nothing: the weights are those of a training by itself."""
    write_data(tmp_path)
    specs = [
        spec.model_copy(update=TINY | ({"per_cell": 2} if spec.per_cell else {}))
        for spec in recipe.RECIPES.values()
    ]
    build.train_together(specs, tmp_path / "together", tmp_path)
    for spec in specs:
        build.train_zoo_model(spec, tmp_path / "alone", tmp_path)
        found, expected = (
            load_zoo(spec.name, tmp_path / name).denoiser.network.state_dict()
            for name in ("together", "alone")
        )
        for name, weights in expected.items():
            torch.testing.assert_close(found[name], weights, rtol=1e-4, atol=1e-5)


def test_missing_data_is_told_before_anything_starts(tmp_path):
    with pytest.raises(BadInputError, match="dataset-fashion-mnist"):
        build.build_zoo_model("edm-fashion", tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
