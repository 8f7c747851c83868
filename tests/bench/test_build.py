"""The whole making of a zoo model, far too short to learn anything."""

import gzip
import json
import struct

import pytest
import torch

from equipoise.bench import build, watch
from equipoise.errors import BadInputError
from equipoise.zoo import fashion, recipe
from equipoise.zoo.package import load_zoo

TINY = {
    "num_images": 60,
    "num_held_out": 5,
    "steps": 4,
    "warmup": 2,
    "batch": 4,
    "watch_every": 2,
}
SMALL = {"edm-fashion": {"channels": (8, 16)}, "dit-fashion": {"width": 32, "depth": 2}}
NAMES = ["edm-fashion", "edm-fashion-clean"]


def shorten(name):
    spec = recipe.RECIPES[name]
    planting = {"per_cell": 2} if spec.per_cell else {}
    return spec.model_copy(update=TINY | SMALL[name.removesuffix("-clean")] | planting)


@pytest.fixture
def tiny_zoo(monkeypatch):
    pictures = torch.randint(0, 256, (60, 28, 28), dtype=torch.uint8)
    monkeypatch.setattr(build, "read_images", lambda *_: pictures)
    monkeypatch.setattr(build, "read_classes", lambda *_: torch.arange(60) % 10)
    monkeypatch.setattr(watch, "WATCHED_OUTPUTS", 2)


@pytest.mark.parametrize("name", [*NAMES, pytest.param("dit-fashion", marks=pytest.mark.slow)])
def test_a_trained_package_loads_again_and_its_card_is_complete(tiny_zoo, tmp_path, name):
    build.train_zoo_model(shorten(name), tmp_path, tmp_path)
    model = load_zoo(name, tmp_path)
    card = json.loads((tmp_path / name / "card.json").read_text())
    assert card["fingerprint"] == build.fingerprint(model.denoiser)
    assert len(card["planted"]) == (0 if name.endswith("clean") else 12)
    keys = {"recipe", "data", "originals_sha256", "rows", "licence", "training", "parameters"}
    assert keys <= set(card)
    assert [seen["step"] for seen in card["training"]["looks"]] == [2, 4]
    assert card["saves"] == {}  # nothing was copied
    assert not list((tmp_path / name / "saves").iterdir())


def write_data(folder):
    """A data set of noise in the format of the real one."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (60, 28, 28), generator=generator, dtype=torch.uint8)
    header = struct.pack(">iiii", 2051, *pixels.shape)
    for name in fashion.FILES.values():
        (folder / name).write_bytes(gzip.compress(header + pixels.numpy().tobytes()))
    classes = struct.pack(">ii", 2049, 60) + bytes(range(10)) * 6
    for name in fashion.CLASS_FILES.values():
        (folder / name).write_bytes(gzip.compress(classes))


@pytest.mark.slow
def test_trained_at_once_is_trained_alone(tmp_path):
    """Processes share nothing: the weights are those of a training by itself."""
    write_data(tmp_path)
    specs = [shorten(name) for name in NAMES]
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
