import pytest
import torch
from safetensors.torch import load_file

from equipoise.bench import session
from equipoise.bench.build import build_untrained
from equipoise.zoo.package import Pictures
from equipoise.zoo.recipe import EdmRecipe

RECIPE = EdmRecipe(
    name="test", channels=(8, 16), num_images=60, steps=6, warmup=2, batch=4, per_cell=2,
    watch_every=2,
)  # fmt: skip
GENERATOR = torch.Generator().manual_seed(0)
PICTURES = Pictures(
    torch.randint(0, 256, (60, 1, 16, 16), generator=GENERATOR).to(torch.uint8),
    torch.arange(60) % 10,
    torch.zeros(1, 1, 16, 16, dtype=torch.uint8),
)


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture
def looks(monkeypatch):
    """Replace the looks by something quick; a look at step `kill` ends the process."""
    wanted = {"kill": None}

    def look(model, average, step):
        if step == wanted["kill"]:
            raise KilledError
        return {"step": step, "n": 1, "copy": 0, "grey": 0, "novel": 1}

    monkeypatch.setattr(session, "look", look)
    monkeypatch.setattr(session, "LOSS_EVERY", 2)
    return wanted


def test_a_killed_training_goes_on_to_the_weights_of_an_unbroken_one(looks, tmp_path):
    whole, told = session.train_session(build_untrained(RECIPE, PICTURES), tmp_path / "whole")
    looks["kill"] = 4
    with pytest.raises(KilledError):
        session.train_session(build_untrained(RECIPE, PICTURES), tmp_path / "broken")
    looks["kill"] = None
    resumed, history = session.train_session(
        build_untrained(RECIPE, PICTURES), tmp_path / "broken"
    )
    expected = whole.network.state_dict()
    for name, weights in resumed.network.state_dict().items():
        assert torch.equal(weights, expected[name]), name
    assert history.losses == told.losses
    assert [seen["step"] for seen in history.looks] == [2, 4, 6]
    assert not (tmp_path / "broken" / "state.safetensors").exists()


def test_every_look_leaves_a_save_of_the_averaged_weights(looks, tmp_path):
    average, _ = session.train_session(build_untrained(RECIPE, PICTURES), tmp_path)
    saves = sorted(path.name for path in (tmp_path / "saves").iterdir())
    assert saves == ["2.safetensors", "4.safetensors", "6.safetensors"]
    last = load_file(tmp_path / "saves" / "6.safetensors")
    for name, weights in average.network.state_dict().items():
        assert torch.equal(last[name], weights.half())
