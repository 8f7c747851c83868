"""Make a zoo model and its clean twin again: data, training, fit, card."""

import platform
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.bench.fit import NUM_OUTPUTS, Fitted, fit_zoo_model
from equipoise.bench.interval import exact_rate
from equipoise.bench.outputs import LabelledOutputs
from equipoise.denoisers import EdmDenoiser, fingerprint
from equipoise.detection import Stopwatch
from equipoise.zoo.fashion import content_hash, read_images, shrink
from equipoise.zoo.package import (
    CLEAN_SUFFIX,
    find_recipe,
    load_zoo,
    save_card,
    save_pictures,
    save_weights,
)
from equipoise.zoo.planting import TrainingSet, build_training_set, draw_planted
from equipoise.zoo.recipe import EdmFashionRecipe
from equipoise.zoo.training import build_denoiser, train

LOSS_EVERY = 100
CHECKED_OUTPUTS = 512
LICENCE = "weights: MIT; Fashion-MNIST: MIT, (c) 2017 Zalando SE"


def build_zoo_model(name: str, folder: Path, data: Path) -> None:
    """Train `name` and its twin, fit the calibration, and write the packages under `folder`.

    Raises:
        BadInputError: when `data` does not hold the data set.
        UnknownModelError: for an unknown name.
    """
    recipes = (find_recipe(name), find_recipe(name + CLEAN_SUFFIX))
    read_training_data(recipes[0], data)  # what is missing is told here, not by a process below
    train_together(recipes, folder, data)
    fit_package(name, folder)


def train_together(recipes: Sequence[EdmFashionRecipe], folder: Path, data: Path) -> None:
    """Train several models at once, each in a process with its share of the cores.

    On small networks two processes of one thread do a quarter more than one process of two.
    """
    threads = max(1, torch.get_num_threads() // len(recipes))
    with ProcessPoolExecutor(
        len(recipes), get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        for training in [pool.submit(train_zoo_model, recipe, folder, data) for recipe in recipes]:
            training.result()


def train_zoo_model(recipe: EdmFashionRecipe, folder: Path, data: Path) -> None:
    """Train one model by its recipe and write weights, pictures and card."""
    name = recipe.name
    read = read_training_data(recipe, data)
    data_std = float((read.originals.float() / 127.5 - 1).std())
    watch = Stopwatch()
    denoiser, losses = _train(build_denoiser(recipe, data_std), read.training_set, recipe)
    save_weights(denoiser, folder / name / "model.safetensors")
    if not name.endswith(CLEAN_SUFFIX):
        save_pictures(folder / name / "pictures.safetensors", read.originals, read.held_out)
    card = build_card(recipe, denoiser, read)
    card["training"] = {
        "loss_curve": losses,
        "seconds": round(watch.seconds),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    save_card(folder / name / "card.json", card)


@dataclass(frozen=True)
class TrainingData:
    """What a recipe trains on, the distinct images behind it, and images it never sees."""

    training_set: TrainingSet
    originals: UInt8[Tensor, "case channel height width"]
    held_out: UInt8[Tensor, "other channel height width"]


def read_training_data(recipe: EdmFashionRecipe, data: Path) -> TrainingData:
    """Draw the recipe's images and plant some."""
    everything = read_images("train", data)
    shuffled = torch.randperm(
        len(everything), generator=torch.Generator().manual_seed(recipe.data_seed)
    )
    originals = shrink(everything[shuffled[: recipe.num_images]], recipe.image_size)
    held_out = shrink(read_images("test", data)[: recipe.num_held_out], recipe.image_size)
    planted = draw_planted(
        len(originals),
        per_cell=recipe.per_cell,
        multiplicities=recipe.multiplicities,
        seed=recipe.planting_seed,
    )
    return TrainingData(build_training_set(originals, planted), originals, held_out)


def build_card(
    recipe: EdmFashionRecipe, denoiser: EdmDenoiser, data: TrainingData
) -> dict[str, Any]:
    """Build the card: what the model is and what it was made from."""
    return {
        "name": recipe.name,
        "family": "EDM, convolutional U-Net, unconditional, pixels",
        "recipe": recipe.model_dump(mode="json"),
        "fingerprint": fingerprint(denoiser),
        "parameters": sum(w.numel() for w in denoiser.network.parameters()),
        "data": "Fashion-MNIST, Debian package dataset-fashion-mnist",
        "data_std": denoiser.data_std,
        "originals_sha256": content_hash(data.originals),
        "held_out_sha256": content_hash(data.held_out),
        "rows": len(data.training_set.rows),
        "planted": [asdict(item) for item in data.training_set.planted],
        "licence": LICENCE,
    }


def fit_package(name: str, folder: Path) -> None:
    """Calibrate a trained package; add what its outputs are to the card."""
    model = load_zoo(name, folder)
    fitted = fit_zoo_model(model)
    fitted.calibration.save(folder / name / "calibration.json")
    fitted.rivals.save(folder / name / "rivals.json")
    card = model.card | {"outputs": count_outputs(fitted)}
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


def count_labels(outputs: LabelledOutputs, first: int) -> dict[str, int]:
    """Count the labels of the first outputs, which `zoo check` makes again."""
    labels = outputs.labels[:first].tolist()
    return {"n": len(labels)} | {name: labels.count(name) for name in ("copy", "grey", "novel")}


def _train(
    denoiser: EdmDenoiser, training_set: TrainingSet, recipe: EdmFashionRecipe
) -> tuple[EdmDenoiser, list[tuple[int, float]]]:
    """Run the training loop with a progress bar; return the averaged model and its losses."""
    losses, window = [], []
    average = denoiser
    # The twin is trained at the same time and has the line below.
    line = int(recipe.name.endswith(CLEAN_SUFFIX))
    with tqdm(total=recipe.steps, desc=recipe.name, unit="step", position=line) as progress:
        for state in train(denoiser, training_set, recipe):
            window.append(state.loss)
            if state.step % LOSS_EVERY == 0:
                losses.append((state.step, round(sum(window) / len(window), 5)))
                progress.set_postfix(loss=losses[-1][1])
                window = []
            average = state.average
            progress.update()
    return average, losses
