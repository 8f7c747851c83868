"""Calibrate a model on pictures it has not memorized, and say which null that is.

- *generated and novel*: fresh outputs, of which copies and the grey zone are left out by the
  nearest training image. The null of an audit of outputs; needs the training images.
- *own outputs*: fresh outputs as they come. Copies among them make the threshold stricter.
- *held-out real*: pictures from elsewhere. A promise about such pictures, not about outputs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from equipoise.auditing.captioned import open_pile
from equipoise.auditing.item import stack_conditions
from equipoise.auditing.nearest import stream_training
from equipoise.auditing.pile import (
    GeneratedPile,
    Loaded,
    PicturePile,
    Pile,
    check_asked,
    count_parts,
)
from equipoise.auditing.prompts import read_asked
from equipoise.auditing.subject import Subject, check_can_be_told, open_subject
from equipoise.denoisers import Denoiser, Size
from equipoise.detection import (
    Calibration,
    Null,
    Precision,
    Spikiness,
    Trial,
    build_default,
    calibrate_scores,
    try_precisions,
)
from equipoise.errors import BadInputError
from equipoise.images import as_unit, content_ids
from equipoise.labels import NearestSearch
from equipoise.runs import load_run


@dataclass(frozen=True)
class Calibrated:
    """A calibration, and what became of the pictures it could have used."""

    calibration: Calibration
    failed: dict[str, str]
    """Reason why a picture could not be read, by its source."""
    left_out: dict[str, int]
    """Outputs left out because of their label: copy, grey."""
    trial: Trial | None
    """How bfloat16 did, where that was asked."""


def calibrate_model(
    name: str,
    *,
    generate: int | None = None,
    prompts: Path | None = None,
    reference: str | Path | None = None,
    training: str | Path | None = None,
    fpr: float,
    seed: int,
    device: str = "cpu",
    size: Size | None = None,
    sweep: Path | None = None,
    precision: Precision | Literal["auto"] | None = None,
    told: bool = False,
) -> Calibrated:
    """Calibrate a model on fresh outputs, or on a folder of pictures.

    Args:
        name: The model, see `open_subject`.
        generate: Fresh outputs to draw.
        prompts: File with what they are asked for, see `read_prompts`.
        reference: Pictures the model has not memorized, instead.
        training: Training images: copies and grey outputs are left out.
        fpr: Promised false-positive rate.
        seed: Seed of the fresh outputs.
        device: Where the model computes.
        size: Height and width of the pictures, pixels.
        sweep: Run folder of a sweep on reference pictures, whose detector is taken.
        precision: Arithmetic of the detector; "auto" for bfloat16 where a short trial at the
            start finds it faster and as good; None for the detector's own.
        told: Whether the detector is told what each picture was asked for: what outputs are drawn
            with, or the captions beside the pictures.

    Raises:
        BadInputError: unless exactly one source of pictures is given and one can be read; when
            the detector is told and nobody says what was asked for.
        CalibrationError: when the rate is finer than the number of pictures can promise.
    """
    if (generate is None) == (reference is None) or (reference and training):
        raise BadInputError(
            "Give either --generate N, fresh outputs of the model (with --training FOLDER only "
            "the novel ones are used), or --reference FOLDER, pictures it has not memorized."
        )
    asked = read_asked(prompts, generate)
    subject = open_subject(name, device=device, size=size)
    denoiser = subject.denoiser
    if told:
        check_can_be_told(subject)
    known = subject.load_calibration(told=told)
    chosen = _choose_detector(denoiser, known, sweep, told=told)
    if reference is None:
        items, failed = read_items(_open_outputs(subject, generate or 0, seed, asked, told=told))
    else:
        items, failed = read_items(open_pile(reference, denoiser, chosen))
    left_out: dict[str, int] = {}
    if training is not None:
        items, left_out = _keep_novel(items, training)
    pictures, conditions = stack_pictures(items), stack_conditions(items)
    detector, trial = _choose_precision(denoiser, chosen, pictures, conditions, precision)
    scores = detector.score(
        denoiser, as_unit(pictures), content_ids(pictures), conditions=conditions
    )
    # Known copies count where they were scored by this very detector.
    copies = known.copies if known and known.detector == detector else ()
    calibration = calibrate_scores(
        detector, denoiser, scores.values, pictures,
        fpr=fpr, null=_name_null(reference, training), copies=copies,
    )  # fmt: skip
    return Calibrated(calibration, failed, left_out, trial)


def _open_outputs(
    subject: Subject, count: int, seed: int, prompts: Sequence[str], *, told: bool
) -> GeneratedPile:
    """Open fresh outputs to calibrate on; refuse those that nobody can tell anything of."""
    pile = GeneratedPile(
        subject, count=count, seed=seed, stream="calibrate", prompts=prompts, told=told
    )
    check_asked(pile)
    return pile


def _name_null(reference: str | Path | None, training: str | Path | None) -> Null:
    if reference is not None:
        return "held-out real"
    return "own outputs" if training is None else "generated and novel"


def _choose_detector(
    denoiser: Denoiser, known: Calibration | None, sweep: Path | None, *, told: bool
) -> Spikiness:
    """Take what a sweep chose, else what the model ships, else the paper's."""
    if sweep is None and known is not None:
        return known.detector
    if sweep is not None and told:
        raise BadInputError(
            "A sweep chooses a detector that is told nothing: its scale does not fit one that is "
            "told. Leave --sweep or --told out."
        )
    return build_default(denoiser, told=told) if sweep is None else read_chosen(sweep)


def _choose_precision(
    denoiser: Denoiser,
    detector: Spikiness,
    pictures: UInt8[Tensor, "case channel height width"],
    conditions: Shaped[Tensor, "case ..."] | None,
    asked: Precision | Literal["auto"] | None,
) -> tuple[Spikiness, Trial | None]:
    """Fix the arithmetic in the detector; with the trial where it had to be tried."""
    if asked is None:
        return detector, None
    trial = None
    if asked == "auto":
        trial = try_precisions(
            denoiser, detector, as_unit(pictures), content_ids(pictures), conditions=conditions
        )
        asked = trial.precision
    return detector.model_copy(update={"precision": asked}), trial


def read_chosen(sweep: Path) -> Spikiness:
    """Read the detector that a sweep on reference pictures chose.

    Raises:
        BadInputError: when the run holds none.
    """
    found = load_run(sweep).record.results.get("detector")
    if found is None:
        raise BadInputError(
            f'"{sweep}" holds no detector: give the run of `equipoise sweep --reference FOLDER`.'
        )
    return Spikiness.model_validate(found)


def read_items(pile: Pile) -> tuple[list[Loaded], dict[str, str]]:
    """Read a whole pile; return what has pictures, and why the others could not be read."""
    loaded = [item for _, part in pile.read(range(count_parts(pile))) for item in part]
    items = [item for item in loaded if item.pixels is not None]
    failed = {item.source: item.error for item in loaded if item.error is not None}
    if not items:
        reasons = ", ".join(sorted(set(failed.values()))[:3])
        raise BadInputError(
            f"Not one of {len(loaded)} reference pictures can be read ({reasons}). Give a folder "
            "of pictures (PNG, JPEG, WebP, GIF, BMP, TIFF)."
        )
    return items, failed


def stack_pictures(items: Sequence[Loaded]) -> UInt8[Tensor, "case channel height width"]:
    """Put the pictures of items together; those that have none are passed over."""
    return torch.stack([item.pixels for item in items if item.pixels is not None])


def _keep_novel(items: list[Loaded], training: str | Path) -> tuple[list[Loaded], dict[str, int]]:
    """Leave out copies and the grey zone."""
    pictures = stack_pictures(items)
    search = NearestSearch(pictures)
    stream_training(PicturePile(training, tuple(pictures.shape[1:])), search)
    labels = search.finish().names()
    counts = Counter(labels)
    novel = [item for item, label in zip(items, labels, strict=True) if label == "novel"]
    if not novel:
        raise BadInputError(
            f"Not one of {len(labels)} outputs is novel by the training images given; draw more, "
            "or calibrate with --reference on pictures from elsewhere."
        )
    return novel, {name: counts[name] for name in ("copy", "grey")}
