"""Put a zoo model together with what it ships."""

from pathlib import Path

from equipoise.bench.demo import DemoParts
from equipoise.bench.fit import load_rivals
from equipoise.bench.show import Exhibit
from equipoise.denoisers import check_device
from equipoise.detection import load_calibration
from equipoise.zoo.package import MODELS, load_zoo
from equipoise.zoo.recipe import CLEAN_SUFFIX, RECIPES


def load_parts(name: str, *, device: str = "cpu", folder: Path = MODELS) -> DemoParts:
    """Load a zoo model, its clean twin, its calibration and its rivals."""
    check_device(device)
    model = load_zoo(name, folder)
    twin = load_zoo(model.recipe.name + CLEAN_SUFFIX, folder)
    shipped = folder / model.recipe.name
    return DemoParts(
        model.to(device),
        twin.to(device),
        load_calibration(shipped / "calibration.json"),
        load_rivals(shipped / "rivals.json"),
    )


def load_exhibit(name: str, *, device: str = "cpu", folder: Path = MODELS) -> Exhibit:
    """Load a zoo model with its twin and its calibration, where it has them."""
    check_device(device)
    model = load_zoo(name, folder).to(device)
    twin = model.recipe.name + CLEAN_SUFFIX
    shipped = folder / model.recipe.name / "calibration.json"
    is_final = "@" not in name  # a calibration belongs to the weights it was fitted on
    return Exhibit(
        model,
        load_zoo(twin, folder).to(device) if twin in RECIPES else None,
        load_calibration(shipped) if shipped.is_file() and is_final else None,
    )
