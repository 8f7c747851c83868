"""The whole making of a text-to-image model, far too short to learn anything."""

import json

import pytest
import torch

from equipoise.bench import build, emoji, watch
from equipoise.bench.stage import take_real
from equipoise.denoisers import fingerprint
from equipoise.loading import load
from equipoise.zoo import recipe
from equipoise.zoo.package import load_zoo

pytestmark = pytest.mark.slow

DECODER = recipe.DecoderRecipe(
    num_latents=4, num_pictures=60, channels=(12, 16, 24), steps=4, batch=2, warmup=1
)
TINY = recipe.SD.model_copy(
    update={
        "num_images": 120, "num_held_out": 5, "per_cell": 2, "multiplicities": (3,), "steps": 4,
        "warmup": 2, "batch": 4, "watch_every": 2, "channels": (16, 32), "text_width": 16,
        "decoder": DECODER,
    }
)  # fmt: skip
TWIN = TINY.model_copy(update={"name": "sd-emoji-clean", "per_cell": 0})


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(watch, "WATCHED_OUTPUTS", 2)
    for spec in (TINY, TWIN):
        monkeypatch.setitem(recipe.RECIPES, spec.name, spec)


def test_model_and_twin_load_again_and_share_all_but_the_u_net(tiny, tmp_path):
    for spec in (TINY, TWIN):
        build.train_zoo_model(spec, tmp_path, tmp_path)
    model, twin = load_zoo("sd-emoji", tmp_path), load_zoo("sd-emoji-clean", tmp_path)
    card = json.loads((tmp_path / "sd-emoji" / "card.json").read_text())
    assert card["fingerprint"] == fingerprint(model.denoiser) != fingerprint(twin.denoiser)
    assert len(card["planted"]) == 8
    assert not twin.planted
    assert torch.equal(model.held_out, twin.held_out)
    images = model.training_set.images[:3].float() / 255
    assert torch.equal(model.denoiser.encode(images), twin.denoiser.encode(images))
    assert len(list((tmp_path / "sd-emoji-clean").rglob("*.safetensors"))) == 1
    assert fingerprint(load(str(tmp_path / "sd-emoji"))) == card["fingerprint"]


def test_outputs_are_asked_for_captions_and_labelled_by_scenes(tiny, tmp_path):
    build.train_zoo_model(TINY, tmp_path, tmp_path)
    model = load_zoo("sd-emoji", tmp_path)
    asked = model.draw_conditions(["a", "b"], seed=0)
    assert asked.shape == (2, 16, 16)
    [x0] = model.sample(["a", "b"], seed=0)
    assert x0.shape == (2, 4, 16, 16)
    planted = [item.index for item in model.training_set.planted]
    assert model.label(model.training_set.images[planted]).names() == ["copy"] * 8
    arms = take_real(model, 0)
    assert [len(arms[name].prompts) for name in ("training", "held_out")] == [112, 5]
    for items in arms.values():
        assert torch.equal(items.conditions, model.encode_prompts(items.prompts))
    lesson = model.build_lesson()
    assert len(lesson.samples) == len(lesson.conditions) == len(model.training_set.images)


class KilledError(Exception):
    """Stands for a kill."""


def test_a_killed_decoder_training_goes_on_to_the_weights_of_an_unbroken_one(
    monkeypatch, tmp_path
):
    pictures = torch.randint(
        0, 256, (60, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    monkeypatch.setattr(emoji, "SAVE_EVERY", 2)
    whole = emoji.make_autoencoder(DECODER, pictures, tmp_path / "whole")
    write, calls = emoji.write_atomic, []

    def write_and_die(*words):
        write(*words)
        calls.append(1)
        raise KilledError

    monkeypatch.setattr(emoji, "write_atomic", write_and_die)
    with pytest.raises(KilledError):
        emoji.make_autoencoder(DECODER, pictures, tmp_path / "broken")
    monkeypatch.setattr(emoji, "write_atomic", write)
    broken = emoji.make_autoencoder(DECODER, pictures, tmp_path / "broken")
    expected = whole.state_dict()
    for name, weights in broken.state_dict().items():
        assert torch.equal(weights, expected[name]), name
    assert [path.name for path in (tmp_path / "broken").iterdir()] == ["vae"]
