"""Put an audit together from names and paths."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from equipoise.auditing.adapter import FDR, LEAST_GAIN, AdapterAudit, takes_prompts
from equipoise.auditing.adapter_residual import LogResidual
from equipoise.auditing.captions import Captions, read_captions
from equipoise.auditing.job import Audit
from equipoise.auditing.pile import GeneratedPile, PicturePile, Pile
from equipoise.auditing.prompts import read_asked
from equipoise.auditing.subject import open_subject
from equipoise.checkpoints.lora import read_lora
from equipoise.denoisers import Size
from equipoise.detection import load_calibration
from equipoise.errors import BadInputError
from equipoise.images import is_url

SHIPPED = "shipped with the model"
RESIDUAL_SHARE = 2.0
CAPTIONED_SHARE = 8.0
"""Noise level at which an adapter is compared with its base, of the data's standard deviation,
told nothing and told the captions: a picture is hardly seen through the one and not at all through
the other, and what comes back was learned."""


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
    caption: str | None = None,
    calibration: Path | None = None,
    fdr: float = FDR,
    device: str = "cpu",
    size: Size | None = None,
) -> AdapterAudit:
    """Build an audit of an adapter against its base.

    A text-to-image model is told what the pictures were called, see `captions`.

    Args:
        name: The base, see `open_subject`.
        adapter: File of a LoRA, or a folder of peft.
        training: Pictures the adapter was trained on.
        held_out: Pictures like them that neither model saw.
        caption: What pictures were called that have no caption beside them.
        calibration: Calibration file whose detector is taken; default the residual's.
        fdr: False discovery rate at which pictures are named.
        device: Where the model computes.
        size: Height and width of the pictures, pixels.

    Raises:
        BadInputError: unless both folders are given; when the adapter is none; when one folder
            has captions and the other none; for a caption where none is read.
        UnknownModelError, UnsafeFileError: when the model cannot be loaded.
    """
    if training is None or held_out is None:
        raise BadInputError(
            "An adapter is audited on --training FOLDER, the pictures it was trained on, against "
            "--held-out FOLDER, pictures like them that it never saw. Give both."
        )
    base = open_subject(name, device=device, size=size).denoiser
    sides = [PicturePile(images, base.image_shape) for images in (training, held_out)]
    words = {
        "base": base, "name": name, "lora": read_lora(adapter), "lora_name": str(adapter),
        "training": sides[0], "held_out": sides[1], "fdr": fdr,
    }  # fmt: skip
    reads = calibration is None and takes_prompts(base)
    if caption is not None and not reads:
        raise BadInputError(
            "--caption says what the pictures were called, and nothing here reads it: the "
            "detector of a --calibration is told nothing, and only text-to-image models take "
            "words. Leave it out."
        )
    if calibration is not None:
        return AdapterAudit(detector=load_calibration(calibration).detector, **words)
    captions = _find_captions(sides, caption) if reads else None
    share = RESIDUAL_SHARE if captions is None else CAPTIONED_SHARE
    residual = LogResidual(sigma=base.snap(share * base.data_std), captioned=captions is not None)
    return AdapterAudit(detector=residual, least_gain=LEAST_GAIN, captions=captions, **words)


def _find_captions(
    sides: Sequence[PicturePile], caption: str | None
) -> tuple[Captions, Captions] | None:
    """Find what the training pictures and the held-out ones were called; None: nobody says.

    Raises:
        BadInputError: when captions of one folder are known and of the other none.
    """
    found = [read_captions(side.images, side.list_sources()) for side in sides]
    if bool(found[0]) != bool(found[1]):
        there, missing = ("training", "held-out") if found[0] else ("held-out", "training")
        raise BadInputError(
            f"The {there} pictures have captions beside them and the {missing} ones have none, so "
            "they cannot be compared. Put NAME.txt beside each picture or a metadata.jsonl into "
            "the folder."
        )
    if caption is None and not any(found):
        return None
    training, held_out = (Captions(known, caption or "") for known in found)
    return training, held_out
