"""Put an audit together from names and paths."""

from pathlib import Path

from equipoise.auditing.job import Audit
from equipoise.auditing.pile import GeneratedPile, PicturePile, Pile
from equipoise.auditing.prompts import read_asked
from equipoise.auditing.subject import open_subject
from equipoise.detection import load_calibration
from equipoise.errors import BadInputError

SHIPPED = "shipped with the model"


def build_audit(
    name: str,
    *,
    images: str | Path | None,
    generate: int | None,
    prompts: Path | None = None,
    calibration: Path | None = None,
    training: str | Path | None = None,
    held_out: str | Path | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Audit:
    """Build an audit.

    Args:
        name: The model, see `open_subject`.
        images: What to audit, see `open_store`.
        generate: Fresh outputs of the model to audit instead.
        prompts: File with what they are asked for, see `read_prompts`.
        calibration: Calibration file; default the shipped one.
        training: Training pictures.
        held_out: Pictures the model never saw.
        seed: Seed of the fresh outputs.
        device: Where the model computes.

    Raises:
        BadInputError: unless exactly one of `images` and `generate` is given.
        UnknownModelError, UnsafeFileError: when the model cannot be loaded.
        CalibrationError: when the calibration cannot.
    """
    if (images is None) == (generate is None):
        raise BadInputError(
            "Give either IMAGES, a folder, file, pattern or URL to audit, or --generate N, fresh "
            "outputs of the model."
        )
    asked = read_asked(prompts, generate)
    subject = open_subject(name, device=device)
    chosen = calibration or subject.shipped
    if chosen is None:
        raise BadInputError(
            f'"{name}" ships no calibration. Make one with `equipoise calibrate --model {name} '
            "--generate N --out FILE` and give it with --calibration FILE."
        )
    pile: Pile
    if images is not None:
        pile = PicturePile(images, subject.denoiser.image_shape)
    else:
        pile = GeneratedPile(
            subject, count=generate or 0, seed=seed, stream="audit", prompts=asked
        )
    return Audit(
        model=subject.denoiser,
        name=subject.name,
        calibration=load_calibration(chosen),
        calibration_name=str(calibration) if calibration else SHIPPED,
        pile=pile,
        training=training,
        held_out=held_out,
    )
