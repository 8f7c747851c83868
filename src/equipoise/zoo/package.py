"""Models of the zoo as they are shipped: weights, card, training pictures, calibration.

    models/NAME/model.safetensors            averaged weights (of a DiT or a text-to-image model
                                             in the folders of diffusers' pipelines instead)
    models/NAME/saves/STEP.safetensors       the same training, earlier
    models/NAME/card.json                    recipe, hashes, loss curve, planted list, figures
    models/NAME/calibration.json             shipped calibration
    models/NAME/calibration-told.json        that of the detector which is told the prompt
    models/NAME/rivals.json                  what the detector is compared with
    models/PICTURES/pictures.safetensors     training images with their classes, held-out images

Models trained on the same images share them: what differs is which of them are planted. Emoji
scenes are drawn again from their seeds, and the twin of a text-to-image model has its U-Net alone:
text encoder and autoencoder are those of its model.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from safetensors.torch import load_file, save
from torch import Tensor

from equipoise.denoisers import TimedDenoiser
from equipoise.errors import BadInputError, UnknownModelError, closest
from equipoise.images import as_unit
from equipoise.labels import NearestLabels, label_by_nearest
from equipoise.runs.atomic import write_atomic
from equipoise.sampling import draw_choices
from equipoise.zoo.caption import write_caption
from equipoise.zoo.network import (
    ZooDenoiser,
    build_denoiser,
    load_weights,
    locate_weights,
    open_text_to_image,
)
from equipoise.zoo.planting import PlantedImage, TrainingSet, build_training_set
from equipoise.zoo.prompt import draw_prompts
from equipoise.zoo.recipe import CLEAN_SUFFIX, RECIPES, DitRecipe, Recipe, SdRecipe
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene_copy import label_by_distance
from equipoise.zoo.scene_set import SceneSet, draw_scene_set
from equipoise.zoo.training import Lesson

MODELS = Path(__file__).parent / "models"
PREFIX = "zoo:"
PICTURES = "fashion-16px"
CALIBRATION, TOLD = "calibration.json", "calibration-told.json"
ENCODED_AT_ONCE = 100


@dataclass(frozen=True)
class ZooModel:
    """A trained model with the truth about its training."""

    denoiser: ZooDenoiser
    recipe: Recipe
    card: dict[str, Any]
    training_set: TrainingSet | SceneSet
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
    ) -> Shaped[Tensor, "case ..."] | None:
        """Draw what each output is asked to show: a class, evenly, or a caption; None: nothing."""
        prompts = self.draw_prompts(item_ids, seed=seed)
        if prompts is not None:
            return self.encode_prompts(prompts)
        if isinstance(self.recipe, DitRecipe):
            return draw_choices(self.recipe.num_classes, seed=seed, item_ids=item_ids)
        return None

    def draw_prompts(self, item_ids: Sequence[str], *, seed: int) -> list[str] | None:
        """Draw the caption each output is asked for; None for a model that reads no words."""
        if isinstance(self.training_set, SceneSet):
            return draw_prompts(self.training_set, item_ids, seed=seed)
        return None

    def build_lesson(self) -> Lesson:
        """Put together what the training of this model shows."""
        images = self.training_set.images
        encoded = [self.denoiser.encode(as_unit(c)) for c in images.split(ENCODED_AT_ONCE)]
        conditions = self.list_conditions(torch.arange(len(images)))
        return Lesson(torch.cat(encoded), conditions, self.training_set.rows)

    def list_conditions(
        self, rows: Int[Tensor, " picture"]
    ) -> Shaped[Tensor, "picture ..."] | None:
        """Return the condition that training pictures answer to; None: the model takes none."""
        prompts, known = self.list_prompts(rows), self.training_set
        if prompts is not None:
            return self.encode_prompts(prompts)
        assert not isinstance(known, SceneSet)
        return known.classes[known.group[rows]] if isinstance(self.recipe, DitRecipe) else None

    def list_prompts(
        self, rows: Int[Tensor, " picture"], *, held_out: bool = False
    ) -> list[str] | None:
        """Return the captions of training or held-out pictures; None: the model reads no words."""
        known = self.training_set
        if not isinstance(known, SceneSet):
            return None
        scenes = known.held_out if held_out else known.scenes
        return [write_caption(scenes[row].attributes) for row in rows.tolist()]

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Return the condition of each prompt."""
        assert isinstance(self.denoiser, TimedDenoiser)
        return self.denoiser.encode_prompts(prompts)

    def label(self, pictures: UInt8[Tensor, "case channel height width"]) -> NearestLabels:
        """Say of each picture whether it copies a training image."""
        known = self.training_set
        if isinstance(known, SceneSet):
            return label_by_distance(pictures, known)
        return label_by_nearest(pictures, known.images, known.group)

    def sample(
        self, item_ids: Sequence[str], *, seed: int
    ) -> Iterator[Float[Tensor, "batch channel height width"]]:
        """Sample one `x0` an item as the recipe says, batch by batch."""
        conditions = self.draw_conditions(item_ids, seed=seed)
        return self.recipe.sampler.sample(
            self.denoiser, item_ids, seed=seed, conditions=conditions
        )

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
    """Load a model of the zoo with the truth about its training.

    Args:
        name: `NAME`, or `NAME@STEP` for an earlier save of its training; with or without the
            prefix "zoo:".
        folder: Where the packages lie.

    Raises:
        UnknownModelError: for an unknown name or step.
        BadInputError: when the weights do not fit the recipe, or a package is missing.
    """
    recipe, card = _read_recipe(name, folder)
    denoiser = load_denoiser(name, folder)
    if isinstance(recipe, SdRecipe):
        scenes = draw_scenes(recipe)
        return ZooModel(denoiser, recipe, card, scenes, render_scenes(scenes.held_out))
    pictures = load_pictures(folder)
    planted = tuple(PlantedImage(**row) for row in card["planted"])
    training_set = build_training_set(pictures.originals, pictures.classes, planted)
    return ZooModel(denoiser, recipe, card, training_set, pictures.held_out)


def load_denoiser(name: str, folder: Path = MODELS) -> ZooDenoiser:
    """Load the denoiser alone; words and errors as for `load_zoo`."""
    recipe, card = _read_recipe(name, folder)
    if isinstance(recipe, SdRecipe):
        denoiser = open_text_to_image(folder / recipe.name.removesuffix(CLEAN_SUFFIX))
    else:
        denoiser = build_denoiser(recipe, card["data_std"])
    _, _, step = name.partition("@")
    load_weights(denoiser, _locate(recipe, folder / recipe.name, step))
    return denoiser


def draw_scenes(recipe: SdRecipe) -> SceneSet:
    """Draw the training set of a recipe (a dozen seconds for 5,000 scenes)."""
    return draw_scene_set(
        num_scenes=recipe.num_images,
        num_held_out=recipe.num_held_out,
        per_cell=recipe.per_cell,
        multiplicities=recipe.multiplicities,
        seed=recipe.data_seed,
        planting_seed=recipe.planting_seed,
    )


def _read_recipe(name: str, folder: Path) -> tuple[Recipe, dict[str, Any]]:
    """Read the card of a model, and its recipe as it was trained."""
    recipe = find_recipe(name.removeprefix(PREFIX).partition("@")[0])
    card = read_card(folder / recipe.name)
    return type(recipe).model_validate(card["recipe"]), card


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
