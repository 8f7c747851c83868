"""Make a zoo model and its clean twin again: data, training, fit, card."""

import platform
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from equipoise.bench.emoji import prepare_text_to_image
from equipoise.bench.fit import NUM_OUTPUTS, Fitted, fit_zoo_model
from equipoise.bench.fit_told import fit_told
from equipoise.bench.grid import write_grid
from equipoise.bench.interval import exact_rate
from equipoise.bench.outputs import count_labels
from equipoise.bench.session import train_session
from equipoise.bench.watch import choose_saves
from equipoise.denoisers import Denoiser, fingerprint
from equipoise.zoo.fashion import content_hash, read_classes, read_images, shrink
from equipoise.zoo.network import (
    build_denoiser,
    load_weights,
    locate_weights,
    save_weights,
    write_configs,
)
from equipoise.zoo.package import (
    CALIBRATION,
    TOLD,
    Pictures,
    ZooModel,
    find_recipe,
    load_zoo,
    locate_save,
    save_card,
    save_pictures,
)
from equipoise.zoo.planting import build_training_set, draw_planted
from equipoise.zoo.recipe import CLEAN_SUFFIX, RECIPES, Recipe, SdRecipe

CHECKED_OUTPUTS = 512


def build_zoo_model(name: str, folder: Path, data: Path) -> None:
    """Train `name` and its twin, fit the calibration, and write the packages under `folder`.

    A training that was interrupted goes on from its last look.

    Raises:
        BadInputError: when `data` does not hold the data set.
        UnknownModelError: for an unknown name.
    """
    recipe = find_recipe(name)
    twin = RECIPES.get(name + CLEAN_SUFFIX)
    # What is missing is told here, not by a process below; what both share is made here.
    prepare_model(recipe, folder, data)
    train_together([recipe, *([twin] if twin else [])], folder, data)
    fit_package(name, folder)


def train_together(recipes: Sequence[Recipe], folder: Path, data: Path) -> None:
    """Train several models at once, each in a process with its share of the cores.

    On small networks two processes of one thread do a quarter more than one process of two.
    """
    threads = max(1, torch.get_num_threads() // len(recipes))
    with ProcessPoolExecutor(
        len(recipes), get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        trainings = [
            pool.submit(train_zoo_model, recipe, folder, data, line=line)
            for line, recipe in enumerate(recipes)
        ]
        for training in trainings:
            training.result()


def train_zoo_model(recipe: Recipe, folder: Path, data: Path, *, line: int = 0) -> None:
    """Train one model by its recipe and write pictures, weights, saves and card.

    Args:
        recipe: The recipe.
        folder: Where the packages lie.
        data: Where the data set lies.
        line: Line of the progress bar, when several models are trained at once.
    """
    own = folder / recipe.name
    model = prepare_model(recipe, folder, data)
    average, history = train_session(model, own, line=line)
    save_weights(average, locate_weights(recipe, own), stored=recipe.stored)
    write_configs(recipe, average, own)
    saves = choose_saves(history.looks)
    for seen in history.looks:
        if seen["step"] not in saves.values():
            locate_save(own, seen["step"]).unlink(missing_ok=True)
    # What is on disk may be of less precision than what was trained, and it is what counts.
    load_weights(average, locate_weights(recipe, own))
    card = build_card(model, average) | {
        "saves": saves,
        "training": {
            "loss_curve": history.losses,
            "looks": history.looks,
            "seconds": round(history.seconds),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "machine": platform.machine(),
        },
    }
    save_card(own / "card.json", card)


def prepare_model(recipe: Recipe, folder: Path, data: Path) -> ZooModel:
    """Return the untrained model of a recipe, and write what it needs besides its weights.

    Raises:
        BadInputError: when `data` does not hold the data set.
    """
    if isinstance(recipe, SdRecipe):
        return prepare_text_to_image(recipe, folder)
    pictures = read_pictures(recipe, data)
    save_pictures(folder, pictures)
    return build_untrained(recipe, pictures)


def build_untrained(recipe: Recipe, pictures: Pictures) -> ZooModel:
    """Plant the recipe's images and build its untrained denoiser."""
    planted = draw_planted(
        len(pictures.originals),
        per_cell=recipe.per_cell,
        multiplicities=recipe.multiplicities,
        seed=recipe.planting_seed,
    )
    training_set = build_training_set(pictures.originals, pictures.classes, planted)
    data_std = float((pictures.originals.float() / 127.5 - 1).std())
    return ZooModel(build_denoiser(recipe, data_std), recipe, {}, training_set, pictures.held_out)


def read_pictures(recipe: Recipe, data: Path) -> Pictures:
    """Draw the recipe's images from the data set."""
    everything = read_images("train", data)
    shuffled = torch.randperm(
        len(everything), generator=torch.Generator().manual_seed(recipe.data_seed)
    )
    rows = shuffled[: recipe.num_images]
    return Pictures(
        shrink(everything[rows], recipe.image_size),
        read_classes("train", data)[rows],
        shrink(read_images("test", data)[: recipe.num_held_out], recipe.image_size),
    )


def build_card(model: ZooModel, denoiser: Denoiser) -> dict[str, Any]:
    """Build the card: what the model is and what it was made from."""
    recipe, known = model.recipe, model.training_set
    return {
        "name": recipe.name,
        "family": recipe.family,
        "recipe": recipe.model_dump(mode="json"),
        "fingerprint": fingerprint(denoiser),
        "parameters": sum(w.numel() for w in denoiser.network.parameters()),
        "data": recipe.data,
        "data_std": denoiser.data_std,
        "originals_sha256": content_hash(known.images[: recipe.num_images]),
        "held_out_sha256": content_hash(model.held_out),
        "rows": len(known.rows),
        "planted": [asdict(item) for item in known.planted],
        "licence": recipe.licence,
    }


def fit_package(name: str, folder: Path) -> None:
    """Calibrate a trained package; add what its outputs are to the card."""
    model = load_zoo(name, folder)
    fitted = fit_zoo_model(model)
    fitted.calibration.save(folder / name / CALIBRATION)
    fitted.rivals.save(folder / name / "rivals.json")
    card = model.card | {"outputs": count_outputs(fitted)}
    if isinstance(model.recipe, SdRecipe):
        fit_told(model, fitted.outputs).save(folder / name / TOLD)
        card["grid"] = write_grid(model, folder / name)
    save_card(folder / name / "card.json", card)


def count_outputs(fitted: Fitted) -> dict[str, Any]:
    """Say what the recipe's own outputs were, and how often each planted image was copied."""
    outputs = fitted.outputs
    copied = outputs.nearest[outputs.labels == "copy"].tolist()
    return {
        "n": NUM_OUTPUTS,
        "copies": exact_rate(int((outputs.labels == "copy").sum()), len(outputs.ids)),
        "grey": int(outputs.grey.sum()),
        "novel": int(outputs.novel.sum()),
        "copies_by_planted_image": {str(i): copied.count(i) for i in sorted(set(copied))},
        "first": count_labels(outputs, CHECKED_OUTPUTS),
    }
