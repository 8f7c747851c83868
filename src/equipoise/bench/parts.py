"""Put a zoo model together with what it ships."""

from pathlib import Path

import torch

from equipoise.bench.control import Exhibit
from equipoise.bench.demo import DemoParts
from equipoise.bench.fit import load_rivals
from equipoise.denoisers import check_device
from equipoise.detection import load_calibration
from equipoise.errors import BadInputError
from equipoise.zoo.package import (
    CALIBRATION,
    MODELS,
    PREFIX,
    TOLD,
    find_recipe,
    load_denoiser,
    load_zoo,
)
from equipoise.zoo.recipe import RECIPES, find_twin


def load_parts(name: str, *, device: str = "cpu", folder: Path = MODELS) -> DemoParts:
    """Load a zoo model, its clean twin, its calibrations and its rivals.

    Raises:
        BadInputError: for a clean twin, which has no copies to find.
    """
    check_device(device)
    model = load_zoo(name, folder)
    twin = find_twin(model.recipe)
    if twin is None:
        raise BadInputError(
            f'"{name}" is a clean twin: nothing was planted, so there are no copies to find. '
            "Give the model whose twin it is."
        )
    shipped = folder / model.recipe.name
    told = shipped / TOLD
    return DemoParts(
        model.to(device),
        twin.name,
        load_denoiser(twin.name, folder).to(device, torch.float32),
        load_calibration(shipped / CALIBRATION),
        load_rivals(shipped / "rivals.json"),
        load_calibration(told) if told.is_file() else None,
    )


def list_trainings(name: str) -> list[str]:
    """List a zoo model and other trainings of its recipe, which planted other images.

    Raises:
        UnknownModelError: for an unknown name.
    """
    free = {"name", "seed", "planting_seed", "stored"}
    told = find_recipe(name.removeprefix(PREFIX)).model_dump(exclude=free)
    same = [f"{PREFIX}{r.name}" for r in RECIPES.values() if r.model_dump(exclude=free) == told]
    return sorted(same, key=lambda one: one.removeprefix(PREFIX) != name.removeprefix(PREFIX))


def load_exhibit(name: str, *, device: str = "cpu", folder: Path = MODELS) -> Exhibit:
    """Load a zoo model with its twin and the calibration that judges, where it has them."""
    check_device(device)
    model = load_zoo(name, folder).to(device)
    twin = find_twin(model.recipe)
    own = folder / model.recipe.name
    shipped = next((own / file for file in (TOLD, CALIBRATION) if (own / file).is_file()), None)
    is_final = "@" not in name  # a calibration belongs to the weights it was fitted on
    return Exhibit(
        model,
        load_zoo(twin.name, folder).to(device) if twin else None,
        load_calibration(shipped) if shipped and is_final else None,
    )
