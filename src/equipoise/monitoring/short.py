"""Short trainings with known truth: a U-Net and a transformer that copy within minutes.

The recipes of the zoo, cut down: smaller networks, and few planted images that are repeated often,
so that copying sets in after a thousand steps. Each has a clean twin.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from equipoise.bench.build import build_untrained
from equipoise.errors import BadInputError, closest
from equipoise.sampling import SamplerSpec
from equipoise.zoo.package import ZooModel, load_pictures
from equipoise.zoo.recipe import CLEAN_SUFFIX, RECIPES, Recipe

COMMON = {
    "num_held_out": 500,
    "per_cell": 5,
    "multiplicities": (600,),
    "batch": 32,
    "learning_rate": 3e-3,
    "warmup": 50,
    "ema_decay": 0.99,
    # Few steps, because outputs are drawn at every check; starting at 10 rather than 40, since
    # few steps from 40 show no copy where many do.
    "sampler": SamplerSpec(steps=5, sigma_max=10.0, sigma_min=0.05, rho=4.0),
}
SHORT: dict[str, Recipe] = {
    "edm-short": RECIPES["edm-fashion"].model_copy(
        update=COMMON | {"name": "edm-short", "channels": (32, 64), "steps": 1500}
    ),
    "dit-short": RECIPES["dit-fashion"].model_copy(
        update=COMMON | {"name": "dit-short", "width": 96, "depth": 4, "steps": 3000}
    ),
}


def find_short(names: Sequence[str]) -> list[Recipe]:
    """Return short recipes by name.

    Raises:
        BadInputError: for an unknown name; names the closest.
    """
    for name in names:
        if name not in SHORT:
            raise BadInputError(
                f'No short recipe "{name}". Closest: {closest(name, list(SHORT))}. There are '
                f"{', '.join(SHORT)}."
            )
    return [SHORT[name] for name in names]


def shift_seeds(recipe: Recipe, seed: int) -> Recipe:
    """Return the recipe with other weights, batches and planted images; 0 leaves it as it is."""
    moved = {"seed": recipe.seed + seed, "planting_seed": recipe.planting_seed + seed}
    return recipe.model_copy(update=moved)


def without_planting(recipe: Recipe) -> Recipe:
    """Return the recipe of the clean twin."""
    return recipe.model_copy(update={"name": recipe.name + CLEAN_SUFFIX, "per_cell": 0})


def build_short(recipe: Recipe) -> ZooModel:
    """Build the untrained model of a short recipe, on the first of the pictures of the zoo."""
    shipped = load_pictures()
    pictures = replace(
        shipped,
        originals=shipped.originals[: recipe.num_images],
        classes=shipped.classes[: recipe.num_images],
        held_out=shipped.held_out[: recipe.num_held_out],
    )
    return build_untrained(recipe, pictures)


def choose_watched(model: ZooModel, *, num_once: int) -> Int[np.ndarray, " watched"]:
    """List the training images a monitor looks at: the planted ones and some that are not."""
    planted = [*model.planted]
    once = np.setdiff1d(np.arange(model.recipe.num_images), planted)
    drawn = np.random.default_rng(model.recipe.planting_seed).permutation(once)[:num_once]
    return np.sort(np.r_[planted, drawn])
