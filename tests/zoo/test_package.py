from collections import Counter

import pytest
import torch
from safetensors.torch import load_file, save_file

from equipoise.denoisers import fingerprint
from equipoise.errors import BadInputError, UnknownModelError
from equipoise.zoo.fashion import content_hash
from equipoise.zoo.package import MODELS, load_weights, load_zoo
from equipoise.zoo.recipe import RECIPES

NAMES = list(RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_the_one_on_its_card(name):
    model = load_zoo(f"zoo:{name}")
    assert fingerprint(model.denoiser) == model.card["fingerprint"]
    originals = model.training_set.images[: model.recipe.num_images]
    assert content_hash(originals) == model.card["originals_sha256"]
    assert content_hash(model.held_out) == model.card["held_out_sha256"]
    assert model.recipe == RECIPES[name]
    assert len(model.training_set.rows) == model.card["rows"]


def test_the_halves_share_no_image_and_both_fill_every_cell():
    model = load_zoo("edm-fashion")
    cells = Counter(
        (model.split_of(index), item.kind, item.multiplicity)
        for index, item in model.planted.items()
    )
    assert len(cells) == 12
    assert set(cells.values()) == {4}
    unplanted = next(i for i in range(5000) if i not in model.planted)
    assert model.split_of(unplanted) is None


def test_the_package_is_small_enough_to_ship():
    size = sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file())
    assert size <= 16 * 2**20


def test_an_unknown_name_is_answered_with_the_closest():
    with pytest.raises(UnknownModelError, match='"edm-fashion"'):
        load_zoo("zoo:edm-fasion")


def test_weights_of_another_shape_or_with_nan_are_refused(tmp_path):
    model = load_zoo("edm-fashion")
    state = load_file(MODELS / "edm-fashion" / "model.safetensors")
    save_file({"conv_in.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInputError, match="does not hold the weights"):
        load_weights(model.denoiser, tmp_path / "other.safetensors")
    state["conv_in.bias"][0] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(ValueError, match=r"conv_in\.bias"):
        load_weights(model.denoiser, tmp_path / "nan.safetensors")
