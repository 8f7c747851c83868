"""Put an audit together from names and paths."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from equipoise.images import is_url

SHIPPED = "shipped with the model"
RESIDUAL_SHARE = 2.0
"""Noise level at which an adapter is compared with its base, of the data's standard deviation: a
picture is hardly seen through it, and what comes back was learned."""


NAMES = ("model", "calibration", "images", "training", "held_out")
"""What a spec holds that changes no row: how things were called, not what they are."""


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What an audit is asked, in names and paths, of which any process can build it."""

    model: str
    """See `open_subject`."""
    images: str | Path | None = None
    """What to audit, see `open_store`."""
    generate: int | None = None
    """Fresh outputs of the model to audit instead."""
    prompts: Path | None = None
    """File with what they are asked for, see `read_prompts`."""
    calibration: Path | None = None
    """Calibration file; default the shipped one."""
    training: str | Path | None = None
    """Training pictures."""
    held_out: str | Path | None = None
    """Pictures the model never saw."""
    seed: int = 0
    """Seed of the fresh outputs."""
    device: str = "cpu"
    """Where the model computes."""
    size: Size | None = None
    """Height and width of the pictures, pixels."""

    def resolve(self) -> "AuditRequest":
        """Return the request with absolute paths, for a process in another folder."""

        def absolute(path: str | Path | None) -> str | Path | None:
            return path if path is None or is_url(str(path)) else os.path.abspath(path)

        return replace(
            self,
            model=os.path.abspath(self.model) if os.path.exists(self.model) else self.model,
            images=absolute(self.images),
            prompts=self.prompts and self.prompts.absolute(),
            calibration=self.calibration and self.calibration.absolute(),
            training=None,  # for the answer only, which no other process makes
            held_out=None,
        )


def build_audit(request: AuditRequest) -> Audit:
    """Build an audit.

    Raises:
        BadInputError: unless exactly one of `images` and `generate` is given.
        UnknownModelError, UnsafeFileError: when the model cannot be loaded.
        CalibrationError: when the calibration cannot.
    """
    if (request.images is None) == (request.generate is None):
        raise BadInputError(
            "Give either IMAGES, a folder, file, pattern or URL to audit, or --generate N, fresh "
            "outputs of the model."
        )
    asked = read_asked(request.prompts, request.generate)
    subject = open_subject(request.model, device=request.device, size=request.size)
    chosen = request.calibration or subject.shipped
    if chosen is None:
        raise BadInputError(
            f'"{request.model}" ships no calibration. Make one with `equipoise calibrate --model '
            f"{request.model} --generate N --out FILE` and give it with --calibration FILE."
        )
    pile: Pile
    if request.images is not None:
        pile = PicturePile(request.images, subject.denoiser.image_shape)
    else:
        pile = GeneratedPile(
            subject, count=request.generate or 0, seed=request.seed, stream="audit", prompts=asked
        )
    return Audit(
        model=subject.denoiser,
        name=subject.name,
        calibration=load_calibration(chosen),
        calibration_name=str(request.calibration) if request.calibration else SHIPPED,
        pile=pile,
        training=request.training,
        held_out=request.held_out,
    )


def check_same(audit: Audit, spec: dict[str, Any]) -> None:
    """Refuse an audit built by one process that makes other rows than another's.

    Args:
        audit: Built here.
        spec: What the other one's `describe` says.

    Raises:
        BadInputError: naming what differs.
    """
    audit.calibration.check_model(audit.model)
    found = audit.describe()
    differing = [key for key in spec if key not in NAMES and found.get(key) != spec[key]]
    if differing:
        raise BadInputError(
            f"A process that helps with the audit finds another {' and '.join(differing)} under "
            "the same names. Put images, model and calibration where all machines see the same."
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
