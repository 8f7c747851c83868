"""Put a zoo model together with what it ships."""

from pathlib import Path

from equipoise.bench.demo import DemoParts
from equipoise.bench.fit import load_rivals
from equipoise.denoisers import check_device
from equipoise.detection import load_calibration
from equipoise.zoo.package import MODELS, load_zoo
from equipoise.zoo.recipe import CLEAN_SUFFIX


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
