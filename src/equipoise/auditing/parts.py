"""Put an audit together from names and paths."""

from pathlib import Path

from equipoise.auditing.job import Audit
from equipoise.auditing.pile import FolderPile, GeneratedPile, Pile
from equipoise.denoisers import check_device
from equipoise.detection import load_calibration
from equipoise.errors import BadInputError
from equipoise.zoo.package import MODELS, load_zoo

SHIPPED = "shipped with the model"


def build_audit(
    name: str,
    *,
    images: Path | None,
    generate: int | None,
    calibration: Path | None = None,
    training: Path | None = None,
    held_out: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Audit:
    """Build the audit of a zoo model.

    Args:
        name: The model, "zoo:NAME".
        images: Folder, list or picture to audit.
        generate: Fresh outputs of the model to audit instead.
        calibration: Calibration file; default the shipped one.
        training: Training pictures.
        held_out: Pictures the model never saw.
        seed: Seed of the fresh outputs.
        device: Where the model computes.

    Raises:
        BadInputError: unless exactly one of `images` and `generate` is given.
        UnknownModelError, CalibrationError: when model or calibration cannot be loaded.
    """
    if (images is None) == (generate is None):
        raise BadInputError(
            "Give either IMAGES, a folder, list or picture to audit, or --generate N, fresh "
            "outputs of the model."
        )
    check_device(device)
    model = load_zoo(name).to(device)
    denoiser = model.denoiser
    shipped = locate_shipped(model.recipe.name)
    if calibration is None and not shipped.exists():
        raise BadInputError(
            f'"{name}" ships no calibration. Make one with `equipoise calibrate --model {name} '
            "--generate N --out FILE` and give it with --calibration FILE."
        )
    pile: Pile
    if images is not None:
        pile = FolderPile(images, denoiser.image_shape)
    else:
        pile = GeneratedPile(model, count=generate or 0, seed=seed, stream="audit")
    return Audit(
        model=denoiser,
        name=f"zoo:{model.recipe.name}",
        calibration=load_calibration(calibration or shipped),
        calibration_name=str(calibration) if calibration else SHIPPED,
        pile=pile,
        training=training,
        held_out=held_out,
    )


def locate_shipped(name: str) -> Path:
    """Return where the calibration of a zoo model lies, if it ships one."""
    return MODELS / name / "calibration.json"
