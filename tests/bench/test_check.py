import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from equipoise.bench import check
from equipoise.bench.check import check_zoo_model, list_shipped
from equipoise.zoo.package import MODELS
from equipoise.zoo.recipe import RECIPES


def test_every_model_and_save_is_listed():
    names = list_shipped()
    assert set(RECIPES) <= set(names)
    assert {"edm-fashion@2000", "dit-fashion@4000"} <= set(names)


@pytest.fixture
def quick(monkeypatch):
    """Outputs cost seconds; here only what is compared matters."""
    monkeypatch.setattr(check, "generate_outputs", lambda *_, **__: None)
    first = json.loads((MODELS / "edm-fashion" / "card.json").read_text())["outputs"]["first"]
    monkeypatch.setattr(check, "count_labels", lambda *_: dict(first))


@pytest.fixture
def copied(tmp_path):
    for name in ("edm-fashion", "fashion-16px"):
        shutil.copytree(MODELS / name, tmp_path / name)
    return tmp_path


def tell_failed(checks):
    return [item.name for item in checks if not item.passed]


def test_a_shipped_model_passes_and_every_check_can_fail(quick, copied, monkeypatch):
    assert tell_failed(check_zoo_model("edm-fashion", copied)) == []
    path = copied / "edm-fashion" / "model.safetensors"
    weights = load_file(path)
    weights["conv_out.bias"] += 1e-3
    save_file(weights, path)
    assert tell_failed(check_zoo_model("edm-fashion", copied)) == ["weights"]
    pictures = load_file(copied / "fashion-16px" / "pictures.safetensors")
    pictures["held_out"][0] += 1
    pictures["originals"][7] += 1
    save_file(pictures, copied / "fashion-16px" / "pictures.safetensors")
    monkeypatch.setattr(check, "count_labels", lambda *_: {"n": 512} | dict.fromkeys(
        ("copy", "grey", "novel"), 150
    ))  # fmt: skip
    failed = tell_failed(check_zoo_model("edm-fashion", copied))
    assert failed == ["training images", "held-out images", "weights", "first outputs"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edm-fashion", "edm-fashion-clean", "edm-fashion@3500"])
def test_the_outputs_of_shipped_weights_are_those_on_the_card(name):
    checks = check_zoo_model(name)
    assert checks
    assert tell_failed(checks) == []


@pytest.mark.slow
def test_other_weights_make_other_outputs(copied):
    """A save that is not of its step is noticed by what it draws."""
    saves = copied / "edm-fashion" / "saves"
    shutil.copy(saves / "2000.safetensors", saves / "3500.safetensors")
    assert tell_failed(check_zoo_model("edm-fashion@3500", copied)) == ["outputs at step 3500"]


def test_a_few_labels_may_fall_to_the_other_side():
    card = {"n": 100, "copy": 10, "grey": 5, "novel": 85}
    near = card | {"copy": 12, "novel": 83}
    far = card | {"copy": 13, "novel": 82}
    assert check._close("x", card, near).passed
    assert not check._close("x", card, far).passed
    assert not check._close("x", card, card | {"n": 90}).passed
