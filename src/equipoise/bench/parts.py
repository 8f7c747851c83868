"""Put a zoo model together with what it ships."""

from dataclasses import replace
from pathlib import Path

import torch

from equipoise.bench.demo import DemoParts
from equipoise.bench.fit import load_rivals
from equipoise.denoisers import check_device
from equipoise.detection import load_calibration
from equipoise.zoo.package import CLEAN_SUFFIX, MODELS, ZooModel, load_zoo


def load_parts(name: str, *, device: str = "cpu", folder: Path = MODELS) -> DemoParts:
    """Load a zoo model, its clean twin, its calibration and its rivals."""
    check_device(device)
    model = load_zoo(name, folder)
    twin = load_zoo(model.recipe.name + CLEAN_SUFFIX, folder)
    shipped = folder / model.recipe.name
    return DemoParts(
        _move(model, device),
        _move(twin, device),
        load_calibration(shipped / "calibration.json"),
        load_rivals(shipped / "rivals.json"),
    )


def _move(model: ZooModel, device: str) -> ZooModel:
    return replace(model, denoiser=model.denoiser.to(device, torch.float32))
