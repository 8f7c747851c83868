import pytest

from equipoise.zoo import planting, scene_set
from equipoise.zoo.recipe import RECIPES, SdRecipe, find_twin


@pytest.mark.parametrize("name", ["edm-fashion", "dit-fashion", "sd-emoji"])
def test_the_twin_differs_from_its_model_in_the_planting_only(name):
    model, twin = RECIPES[name], RECIPES[name + "-clean"]
    changed = {k for k, v in model.model_dump().items() if twin.model_dump()[k] != v}
    assert changed == {"name", "per_cell"}
    assert twin.per_cell == 0


@pytest.mark.parametrize("name", [name for name, spec in RECIPES.items() if not spec.is_twin])
def test_enough_is_planted_and_it_fills_the_promised_share_of_a_batch(name):
    recipe = RECIPES[name]
    is_scenes = isinstance(recipe, SdRecipe)
    kinds = scene_set.KINDS if is_scenes else planting.KINDS
    planted = len(kinds) * recipe.per_cell * len(recipe.multiplicities)
    rows = len(kinds) * recipe.per_cell * sum(recipe.multiplicities)
    assert planted >= 48
    assert recipe.per_cell >= (6 if is_scenes else 8)
    assert 0.25 <= rows / (rows + recipe.num_images - planted) <= 0.4


@pytest.mark.parametrize(
    ("name", "twin"),
    [("edm-fashion", "edm-fashion-clean"), ("edm-fashion-b", "edm-fashion-clean"),
     ("dit-fashion", "dit-fashion-clean"), ("dit-fashion-clean", None),
     ("sd-emoji", "sd-emoji-clean")],
)  # fmt: skip
def test_every_model_has_a_twin_and_a_twin_has_none(name, twin):
    found = find_twin(RECIPES[name])
    assert (found.name if found else None) == twin


def test_a_second_training_plants_other_images():
    assert RECIPES["edm-fashion-b"].planting_seed != RECIPES["edm-fashion"].planting_seed
    assert RECIPES["edm-fashion-b"].seed != RECIPES["edm-fashion"].seed


def test_a_recipe_is_frozen_and_refuses_unknown_words():
    with pytest.raises(ValueError, match="frozen"):
        RECIPES["edm-fashion"].steps = 1
    with pytest.raises(ValueError, match="extra"):
        type(RECIPES["edm-fashion"])(name="x", nonsense=1)
