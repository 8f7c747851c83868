"""Put an audit together from names and paths."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from equipoise.auditing.adapter import FDR, LEAST_GAIN, AdapterAudit, takes_prompts
from equipoise.auditing.adapter_residual import LogResidual
from equipoise.auditing.captioned import open_pile
from equipoise.auditing.captions import Captions, read_captions
from equipoise.auditing.job import Audit
from equipoise.auditing.pile import GeneratedPile, PicturePile, Pile, check_asked
from equipoise.auditing.prompts import read_asked
from equipoise.auditing.subject import Subject, check_can_be_told, open_subject
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
    told: bool = False
    """Take the shipped one of the detector that is told what each picture was asked for."""
    caption: str | None = None
    """What pictures were asked for that have no caption beside them, for such a detector."""
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
    if request.caption is not None and request.images is None:
        raise BadInputError(
            "--caption says what pictures of IMAGES were asked for; what fresh outputs are asked "
            "for is in --prompts FILE. Leave --caption out."
        )
    asked = read_asked(request.prompts, request.generate)
    subject = open_subject(request.model, device=request.device, size=request.size)
    calibration = load_calibration(_choose_calibration(request, subject))
    pile: Pile
    if request.images is not None:
        pile = open_pile(
            request.images, subject.denoiser, calibration.detector, caption=request.caption
        )
    else:
        pile = GeneratedPile(
            subject, count=request.generate or 0, seed=request.seed, stream="audit", prompts=asked,
            told=calibration.detector.condition == "own",
        )  # fmt: skip
        check_asked(pile)
    return Audit(
        model=subject.denoiser,
        name=subject.name,
        calibration=calibration,
        calibration_name=str(request.calibration) if request.calibration else SHIPPED,
        pile=pile,
        training=request.training,
        held_out=request.held_out,
    )


def _choose_calibration(request: AuditRequest, subject: Subject) -> Path:
    """Take the calibration that is given, else the shipped one."""
    if request.calibration is not None:
        if request.told:
            raise BadInputError(
                "--told takes the calibration that the model ships, and --calibration another: it "
                "says by itself whether its detector is told anything. Leave one of them out."
            )
        return request.calibration
    if request.told:
        check_can_be_told(subject)
    shipped = subject.told if request.told else subject.shipped
    if shipped is None:
        told = " --told" if request.told else ""
        raise BadInputError(
            f'"{request.model}" ships no{" such" if told else ""} calibration. Make one with '
            f"`equipoise calibrate --model {request.model}{told} --generate N --out FILE` and "
            "give it with --calibration FILE."
        )
    return shipped


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
    chosen = None if calibration is None else load_calibration(calibration).detector
    reads = takes_prompts(base) and (chosen is None or chosen.condition == "own")
    if caption is not None and not reads:
        raise BadInputError(
            "--caption says what the pictures were called, and nothing here reads it: the "
            "detector of this --calibration is told nothing, or the model takes no words. Leave "
            "it out."
        )
    captions = _find_captions(sides, caption) if reads else None
    if chosen is not None:
        if chosen.condition == "own" and captions is None:
            raise BadInputError(
                "The detector of this --calibration is told what pictures were called, and no "
                "picture has a caption. Put NAME.txt beside each, or give --caption TEXT for all."
            )
        return AdapterAudit(detector=chosen, captions=captions, **words)
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
    found = [read_captions(side.images, side.store.list_files()) for side in sides]
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
