import numpy as np
import pytest

from equipoise.errors import BadInputError
from equipoise.monitoring.short import (
    SHORT,
    build_short,
    choose_watched,
    find_short,
    shift_seeds,
    without_planting,
)


def test_a_short_training_and_its_twin_see_the_same_pictures():
    for recipe in SHORT.values():
        model, twin = build_short(recipe), build_short(without_planting(recipe))
        assert len(model.planted) == 3 * recipe.per_cell
        assert not twin.planted
        assert twin.training_set.images.equal(model.training_set.images[: recipe.num_images])
        assert len(model.held_out) == recipe.num_held_out


def test_another_seed_plants_other_images_among_the_same():
    recipe = SHORT["edm-short"]
    assert shift_seeds(recipe, 0) == recipe
    one, other = build_short(recipe), build_short(shift_seeds(recipe, 1))
    assert {*one.planted} != {*other.planted}
    assert len(one.planted) == len(other.planted)
    assert one.held_out.equal(other.held_out)


def test_planted_images_are_watched_and_some_others():
    model = build_short(SHORT["dit-short"])
    watched = choose_watched(model, num_once=30)
    assert {*model.planted} <= {*watched.tolist()}
    assert len(np.unique(watched)) == len(model.planted) + 30
    assert watched.max() < model.recipe.num_images


def test_an_unknown_recipe_is_refused_with_the_closest():
    assert find_short(["dit-short"]) == [SHORT["dit-short"]]
    with pytest.raises(BadInputError, match='No short recipe "edm-shot"'):
        find_short(["edm-shot"])
