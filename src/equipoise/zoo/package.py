"""Models of the zoo as they are shipped: weights, card, training pictures, calibration.

    models/NAME/model.safetensors       averaged weights, float32
    models/NAME/card.json               recipe, hashes, loss curve, planted list, figures
    models/NAME/pictures.safetensors    training pictures with variants, held-out pictures
    models/NAME/calibration.json        shipped calibration

A clean twin ships weights and a card; its pictures are the originals of its sibling.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from safetensors.torch import load_file, save
from torch import Tensor

from equipoise.denoisers.edm import EdmDenoiser
from equipoise.denoisers.protocol import check_finite_weights
from equipoise.errors import BadInputError, UnknownModelError, closest
from equipoise.runs.atomic import write_atomic
from equipoise.zoo.planting import PlantedImage, TrainingSet, build_training_set
from equipoise.zoo.recipe import RECIPES, EdmFashionRecipe
from equipoise.zoo.training import build_denoiser

MODELS = Path(__file__).parent / "models"
CLEAN_SUFFIX = "-clean"


@dataclass(frozen=True)
class ZooModel:
    """A trained model with the truth about its training."""

    denoiser: EdmDenoiser
    recipe: EdmFashionRecipe
    card: dict[str, Any]
    training_set: TrainingSet
    held_out: UInt8[Tensor, "case channel height width"]

    @property
    def planted(self) -> dict[int, PlantedImage]:
        """The planted images by their index in the training set."""
        return {item.index: item for item in self.training_set.planted}

    def split_of(self, index: int) -> str | None:
        """Say which half a planted image belongs to, "selection" or "report"; None: not planted.

        The halves alternate within every cell of kind x multiplicity, in the order of the draw.
        """
        return self._splits().get(index)

    def _splits(self) -> dict[int, str]:
        seen: dict[tuple[str, int], int] = {}
        splits = {}
        for item in self.training_set.planted:
            cell = (item.kind, item.multiplicity)
            seen[cell] = seen.get(cell, 0) + 1
            splits[item.index] = "selection" if seen[cell] % 2 else "report"
        return splits


def find_recipe(name: str) -> EdmFashionRecipe:
    """Return the recipe of a zoo model.

    Raises:
        UnknownModelError: for an unknown name; names the closest.
    """
    if name not in RECIPES:
        raise UnknownModelError(
            f'No model "{name}" in the zoo. Closest: {closest(name, list(RECIPES))}. '
            "List all with `equipoise zoo list`."
        )
    return RECIPES[name]


def load_zoo(name: str, folder: Path = MODELS) -> ZooModel:
    """Load a model of the zoo, with or without the prefix "zoo:".

    Raises:
        UnknownModelError: for an unknown name.
        BadInputError: when the weights do not fit the recipe.
    """
    recipe = find_recipe(name.removeprefix("zoo:"))
    card = read_card(folder / recipe.name)
    recipe = EdmFashionRecipe.model_validate(card["recipe"])
    denoiser = build_denoiser(recipe, card["data_std"])
    load_weights(denoiser, folder / recipe.name / "model.safetensors")
    pictures = load_file(folder / recipe.name.removesuffix(CLEAN_SUFFIX) / "pictures.safetensors")
    planted = tuple(PlantedImage(**row) for row in card["planted"])
    training_set = build_training_set(pictures["originals"], planted)
    return ZooModel(denoiser, recipe, card, training_set, pictures["held_out"])


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of a packaged model."""
    path = folder / "card.json"
    if not path.is_file():
        raise BadInputError(
            f'The model in "{folder}" is incomplete: it has no card.json. Install the package '
            "again, or make the model with `equipoise zoo train`."
        )
    return json.loads(path.read_text())


def load_weights(denoiser: EdmDenoiser, path: Path) -> None:
    """Fill a freshly built denoiser from a file, strictly."""
    try:
        denoiser.network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise BadInputError(
            f'"{path}" does not hold the weights of this recipe: {error}'
        ) from error
    denoiser.network.requires_grad_(False).eval()
    check_finite_weights(denoiser.network)


def save_weights(denoiser: EdmDenoiser, path: Path) -> None:
    """Write the weights of a denoiser as safetensors."""
    state = {k: v.detach().contiguous() for k, v in denoiser.network.state_dict().items()}
    write_atomic(path, save(state))


def save_pictures(
    path: Path,
    originals: UInt8[Tensor, "case channel height width"],
    held_out: UInt8[Tensor, "other channel height width"],
) -> None:
    """Write training originals and held-out pictures; variants are made from them again."""
    write_atomic(path, save({"originals": originals, "held_out": held_out}))


def save_card(path: Path, card: dict[str, Any]) -> None:
    """Write a card as readable JSON."""
    write_atomic(path, (json.dumps(card, indent=1, allow_nan=False) + "\n").encode())
