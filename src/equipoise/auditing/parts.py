"""Put an audit together from names and paths."""

from pathlib import Path

from equipoise.auditing.adapter import FDR, AdapterAudit
from equipoise.auditing.job import Audit
from equipoise.auditing.pile import GeneratedPile, PicturePile, Pile
from equipoise.auditing.prompts import read_asked
from equipoise.auditing.subject import open_subject
from equipoise.bench.baselines import DenoisingResidual
from equipoise.checkpoints.lora import read_lora
from equipoise.denoisers import Size
from equipoise.detection import load_calibration
from equipoise.errors import BadInputError

SHIPPED = "shipped with the model"
RESIDUAL_SHARE = 2.0
"""Noise level at which an adapter is compared with its base, of the data's standard deviation: a
picture is hardly seen through it, and what comes back was learned."""


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
    size: Size | None = None,
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
        size: Height and width of the pictures, pixels.

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
    subject = open_subject(name, device=device, size=size)
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


def build_adapter_audit(
    name: str,
    *,
    adapter: Path,
    training: str | Path | None,
    held_out: str | Path | None,
    calibration: Path | None = None,
    fdr: float = FDR,
    device: str = "cpu",
    size: Size | None = None,
) -> AdapterAudit:
    """Build an audit of an adapter against its base.

    Args:
        name: The base, see `open_subject`.
        adapter: File of a LoRA, or a folder of peft.
        training: Pictures the adapter was trained on.
        held_out: Pictures like them that neither model saw.
        calibration: Calibration file whose detector is taken; default the residual's.
        fdr: False discovery rate at which pictures are named.
        device: Where the model computes.
        size: Height and width of the pictures, pixels.

    Raises:
        BadInputError: unless both folders are given, and when the adapter is none.
        UnknownModelError, UnsafeFileError: when the model cannot be loaded.
    """
    if training is None or held_out is None:
        raise BadInputError(
            "An adapter is audited on --training FOLDER, the pictures it was trained on, against "
            "--held-out FOLDER, pictures like them that it never saw. Give both."
        )
    base = open_subject(name, device=device, size=size).denoiser
    detector = (
        DenoisingResidual(sigma=base.snap(RESIDUAL_SHARE * base.data_std))
        if calibration is None
        else load_calibration(calibration).detector
    )
    return AdapterAudit(
        base, name, read_lora(adapter), str(adapter),
        PicturePile(training, base.image_shape), PicturePile(held_out, base.image_shape),
        detector, fdr,
    )  # fmt: skip
