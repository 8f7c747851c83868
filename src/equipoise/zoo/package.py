"""Models of the zoo as they are shipped: weights, card, training pictures, calibration.

    models/NAME/model.safetensors            averaged weights (of a DiT: a folder `transformer`
                                             and one `scheduler`, as diffusers has them)
    models/NAME/saves/STEP.safetensors       the same training, earlier
    models/NAME/card.json                    recipe, hashes, loss curve, planted list, figures
    models/NAME/calibration.json             shipped calibration
    models/NAME/rivals.json                  what the detector is compared with
    models/PICTURES/pictures.safetensors     training images with their classes, held-out images

Models trained on the same images share them: what differs is which of them are planted.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load_file, save
from torch import Tensor

from equipoise.errors import BadInputError, UnknownModelError, closest
from equipoise.runs.atomic import write_atomic
from equipoise.sampling import draw_choices, sample_items
from equipoise.zoo.network import ZooDenoiser, build_denoiser, load_weights, locate_weights
from equipoise.zoo.planting import PlantedImage, TrainingSet, build_training_set
from equipoise.zoo.recipe import RECIPES, DitRecipe, Recipe

MODELS = Path(__file__).parent / "models"
PREFIX = "zoo:"
PICTURES = "fashion-16px"


@dataclass(frozen=True)
class ZooModel:
    """A trained model with the truth about its training."""

    denoiser: ZooDenoiser
    recipe: Recipe
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

    def draw_conditions(
        self, item_ids: Sequence[str], *, seed: int
    ) -> Int[Tensor, " case"] | None:
        """Draw what each output is asked to show: a class, evenly; None: it takes no condition."""
        if not isinstance(self.recipe, DitRecipe):
            return None
        return draw_choices(self.recipe.num_classes, seed=seed, item_ids=item_ids)

    def sample(
        self, item_ids: Sequence[str], *, seed: int
    ) -> Iterator[Float[Tensor, "batch channel height width"]]:
        """Sample one `x0` an item as the recipe says, batch by batch."""
        return sample_items(
            self.denoiser, item_ids, self.recipe.sampler.list_sigmas(self.denoiser),
            seed=seed, batch=self.recipe.sampler.batch,
            conditions=self.draw_conditions(item_ids, seed=seed),
        )  # fmt: skip

    def to(self, device: str) -> "ZooModel":
        """Return it with the denoiser on `device`, in float32."""
        return replace(self, denoiser=self.denoiser.to(device, torch.float32))

    def _splits(self) -> dict[int, str]:
        seen: dict[tuple[str, int], int] = {}
        splits = {}
        for item in self.training_set.planted:
            cell = (item.kind, item.multiplicity)
            seen[cell] = seen.get(cell, 0) + 1
            splits[item.index] = "selection" if seen[cell] % 2 else "report"
        return splits


def find_recipe(name: str) -> Recipe:
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

    Args:
        name: `NAME`, or `NAME@STEP` for an earlier save of its training.
        folder: Where the packages lie.

    Raises:
        UnknownModelError: for an unknown name or step.
        BadInputError: when the weights do not fit the recipe, or a package is missing.
    """
    plain, _, step = name.removeprefix(PREFIX).partition("@")
    recipe = find_recipe(plain)
    card = read_card(folder / recipe.name)
    recipe = type(recipe).model_validate(card["recipe"])
    denoiser = build_denoiser(recipe, card["data_std"])
    load_weights(denoiser, _locate(recipe, folder / recipe.name, step))
    pictures = load_pictures(folder)
    planted = tuple(PlantedImage(**row) for row in card["planted"])
    training_set = build_training_set(pictures.originals, pictures.classes, planted)
    return ZooModel(denoiser, recipe, card, training_set, pictures.held_out)


def locate_save(folder: Path, step: int | str) -> Path:
    """Say where an earlier save of a training lies, in the folder of its model."""
    return folder / "saves" / f"{step}.safetensors"


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of a packaged model."""
    path = folder / "card.json"
    if not path.is_file():
        raise BadInputError(
            f'The model in "{folder}" is incomplete: it has no card.json. Install the package '
            "again, or make the model with `equipoise zoo train`."
        )
    return json.loads(path.read_text())


def save_card(path: Path, card: dict[str, Any]) -> None:
    """Write a card as readable JSON."""
    write_atomic(path, (json.dumps(card, indent=1, allow_nan=False) + "\n").encode())


@dataclass(frozen=True)
class Pictures:
    """The distinct training images with their classes, and images that no model sees."""

    originals: UInt8[Tensor, "case channel height width"]
    classes: Int[Tensor, " case"]
    held_out: UInt8[Tensor, "other channel height width"]


def load_pictures(folder: Path = MODELS) -> Pictures:
    """Read the pictures that the models of a zoo share."""
    tensors = load_file(folder / PICTURES / "pictures.safetensors")
    return Pictures(tensors["originals"], tensors["classes"].long(), tensors["held_out"])


def save_pictures(folder: Path, pictures: Pictures) -> None:
    """Write the pictures that the models of a zoo share; variants are made from them again."""
    tensors = {
        "originals": pictures.originals,
        "classes": pictures.classes.to(torch.uint8),
        "held_out": pictures.held_out,
    }
    write_atomic(folder / PICTURES / "pictures.safetensors", save(tensors))


def _locate(recipe: Recipe, folder: Path, step: str) -> Path:
    if not step:
        return locate_weights(recipe, folder)
    path = locate_save(folder, step)
    if not path.is_file():
        known = sorted(int(save.stem) for save in (folder / "saves").glob("*.safetensors"))
        told = ", ".join(f"{recipe.name}@{one}" for one in known) or "none"
        raise UnknownModelError(
            f'No save "{recipe.name}@{step}" in the zoo. Earlier saves of this training: {told}.'
        )
    return path
