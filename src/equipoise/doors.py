"""The front doors: one line each in a notebook; everything behind them lives in the rooms."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from equipoise.auditing.captioned import open_pile
from equipoise.auditing.job import Audit, run_audit
from equipoise.auditing.subject import Subject, build_sampler, follow_prompts, open_subject
from equipoise.denoisers import Denoiser
from equipoise.detection import (
    Calibration,
    Judgement,
    Mode,
    Null,
    Scores,
    Spikiness,
    build_default,
    calibrate_scores,
    judge,
    measure_heat,
)
from equipoise.guarding.fit import collect_evidence, fit_guard
from equipoise.guarding.guard import DEFAULT_ATTEMPTS, Action, Guard
from equipoise.guarding.pipeline import PipelineSource
from equipoise.guarding.sampler import SamplerSource
from equipoise.guarding.source import Source
from equipoise.images import content_ids, quantize
from equipoise.loading import load
from equipoise.monitoring.loop import WatchedLoop
from equipoise.monitoring.monitor import Monitor, MonitorSpec
from equipoise.report import render_report
from equipoise.runs import Run
from equipoise.steering import ConceptVector, Kind, Window, build_vector
from equipoise.steering.arithmetic import Mode as SteeringMode
from equipoise.steering.editing import Edit, edit_picture
from equipoise.steering.prompted import draw_references
from equipoise.steering.reference import References, read_references
from equipoise.steering.strip import choose_condition

_State = TypeVar("_State")


@dataclass(frozen=True)
class CalibratedDetector:
    """A calibration together with its model; call it on images."""

    model: Denoiser
    """What is looked into."""
    calibration: Calibration
    """Detector and threshold, fitted on this model."""

    def __call__(
        self,
        images: Float[Tensor, "case ..."],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
    ) -> Judgement:
        """Give each image, values in [0, 1], a p-value and a verdict.

        Args:
            images: Values in [0, 1], in the shape the model encodes.
            conditions: What each was asked for, where the detector is told it, as for `spikiness`.
        """
        pictures = quantize(images)
        self.calibration.check_model(self.model)
        scores = spikiness(
            self.model, images, detector=self.calibration.detector, conditions=conditions
        )
        return judge(self.calibration, scores, pictures)


def spikiness(
    model: Denoiser,
    images: Float[Tensor, "case ..."],
    *,
    detector: Spikiness | None = None,
    ids: Sequence[str] | None = None,
    conditions: Shaped[Tensor, "case ..."] | None = None,
) -> Scores:
    """Score images by their spikiness; higher = more memorized, for ranking only.

    Args:
        model: The model.
        images: Values in [0, 1], in the shape the model encodes.
        detector: Where and how to look; default the paper's statistic at the model's first
            default site.
        ids: One id an image, which keys its noise; default a hash of its 8-bit picture.
        conditions: What each image was asked for (`model.encode_prompts(prompts)`, or classes);
            read by a detector with `condition="own"`.

    Raises:
        BadInputError, NonFiniteError: when an image cannot be scored.
    """
    chosen, names = detector or build_default(model), ids or content_ids(quantize(images))
    return chosen.score(model, images, names, conditions=conditions)


def heatmap(
    model: Denoiser,
    images: Float[Tensor, "case ..."],
    *,
    detector: Spikiness | None = None,
    ids: Sequence[str] | None = None,
    conditions: Shaped[Tensor, "case ..."] | None = None,
) -> Float[Tensor, "case height width"]:
    """Say where in each image its score comes from; higher = the place raises it more.

    Args:
        model: The model.
        images: Values in [0, 1], in the shape the model encodes.
        detector: As for `spikiness`.
        ids: As for `spikiness`.
        conditions: As for `spikiness`.

    Returns:
        The part of the score that each pixel carries, in units of the score.

    Raises:
        BadInputError: when a site of the detector has no places.
    """
    chosen, names = detector or build_default(model), ids or content_ids(quantize(images))
    return measure_heat(model, images, chosen, names, conditions=conditions).maps


def calibrate(
    model: Denoiser,
    reference: Float[Tensor, "case ..."],
    *,
    fpr: float = 0.01,
    detector: Spikiness | None = None,
    conditions: Shaped[Tensor, "case ..."] | None = None,
    null: Null = "own outputs",
) -> CalibratedDetector:
    """Set a threshold from reference images that are not memorized.

    Args:
        model: The model.
        reference: Values in [0, 1]; at least 1/fpr - 1 of them.
        fpr: Promised false-positive rate.
        detector: Where and how to look; default the paper's statistic at the model's first
            default site.
        conditions: What each was asked for, as for `spikiness`.
        null: What the reference images are; recorded.

    Raises:
        CalibrationError: when the rate is finer than the number of images can promise.
    """
    chosen = detector or build_default(model)
    scores = spikiness(model, reference, detector=chosen, conditions=conditions)
    calibration = calibrate_scores(
        chosen, model, scores.values, quantize(reference), fpr=fpr, null=null
    )
    return CalibratedDetector(model, calibration)


def concept(
    model: object,
    *,
    positive: References | Sequence[str],
    negative: References | Sequence[str] | None = None,
    sites: str | Sequence[str] | None = None,
    sigma: float | Sequence[float] | None = None,
    kind: Kind = "per-position",
    seed: int = 0,
) -> ConceptVector:
    """Make a concept vector from pictures with the concept and without, or from prompts.

    Args:
        model: Whatever `equipoise.load` takes: a denoiser, a live pipeline, "zoo:NAME", a folder.
        positive: Pictures with the concept: values in [0, 1], or a folder; ten are worth a try.
            Or prompts, of which a text-to-image model draws a picture each, with guidance; each
            is then looked at with its own prompt.
        negative: Pictures without it, otherwise alike; None gives the paper's vector, a mean.
        sites: Names or patterns; None is a default by the kind of model: all blocks of a
            transformer, the way up of a text-to-image U-Net, the default sites of any other.
        sigma: Noise level of the references, data units; several make a vector that changes with
            the level at which it acts; None is the standard deviation of the data.
        kind: "per-position", for pictures of the references' size; or "pooled", for any size.
        seed: Seed of the noise.

    Raises:
        BadInputError, UnreadablePictureError, NonFiniteError: when the pictures make no vector.
        UnknownSiteError: when the model has no such site.
    """
    subject = _as_subject(model)
    shown, asked = _gather(subject, positive, seed=seed)
    without = (None, None) if negative is None else _gather(subject, negative, seed=seed)
    return build_vector(
        subject.denoiser,
        shown,
        without[0],
        name=model if isinstance(model, str) else type(subject.denoiser.network).__name__,
        patterns=sites,
        sigmas=[sigma] if isinstance(sigma, float | int) else sigma,
        prompts=(asked, without[1]),
        kind=kind,
        seed=seed,
    )


def edit(
    model: object,
    image: Float[Tensor, "channel height width"] | str | Path,
    vector: ConceptVector,
    *,
    strength: float | Sequence[float] = 1.0,
    start: float | None = None,
    window: Window | None = None,
    mode: SteeringMode = "add",
    prompt: str | None = None,
) -> Edit:
    """Edit a picture that exists: back to noise by the model, and forth again with steering.

    Args:
        model: Whatever `equipoise.load` takes.
        image: Values in [0, 1], in the shape the model encodes; or a file.
        vector: What to steer with.
        strength: One number or several, in units of the vector.
        start: Noise level to go back to, data units; lower keeps more of the picture, None is all
            the way.
        window: Lowest and highest noise level at which to act.
        mode: "add", "remove" or "interpolate", see `equipoise.steer`.
        prompt: What the picture shows, for a text-to-image model; None is the empty prompt.

    Returns:
        The pictures by strength, the reconstruction at strength 0 and its error.
    """
    subject = _as_subject(model)
    denoiser = subject.denoiser
    if isinstance(image, str | Path):
        image = read_references(image, denoiser.image_shape)[0]
    strengths = [strength] if isinstance(strength, float | int) else list(strength)
    return edit_picture(
        denoiser, image, vector, strengths=strengths,
        sigmas=subject.sampler.list_sigmas(denoiser), start=start, window=window, mode=mode,
        cond=choose_condition(denoiser, prompt=prompt),
    )  # fmt: skip


def audit(
    model: Denoiser,
    images: str | Path,
    detector: CalibratedDetector,
    *,
    out: str | Path,
    training: str | Path | None = None,
    held_out: str | Path | None = None,
) -> Run:
    """Score a pile of images, say how many are copies, and write a report.

    The same call on the same run folder goes on where it was stopped.

    Args:
        model: The model.
        images: Folder (with all its folders), list of paths (.txt), pattern, picture, Parquet
            file, tar of pictures, or the URL of one of these.
        detector: Detector calibrated on this model. One that is told what pictures were asked for
            reads NAME.txt beside each, or a metadata.jsonl in the folder.
        out: Run folder.
        training: Training images: flagged items are shown beside the nearest.
        held_out: Images the model never saw: with `training`, the whole model is tested.

    Returns:
        The finished run; `run.record.results` holds the answers, `run.read_items()` the rows,
        and `report.html` in its folder the page.

    Raises:
        BadInputError: when not one image can be read.
        CalibrationError: when the detector was calibrated on another model.
        RunError: when the folder holds another run, or another process is writing it.
    """
    asked = Audit(
        model=model,
        name=type(model).__name__,
        calibration=detector.calibration,
        calibration_name="given",
        pile=open_pile(images, model, detector.calibration.detector),
        training=training,
        held_out=held_out,
    )
    run = run_audit(asked, Path(out))
    render_report(run.path)
    return run


def guard(
    target: object,
    calibration: Calibration,
    action: Action = "flag",
    *,
    attempts: int = DEFAULT_ATTEMPTS,
    log: str | Path | None = None,
) -> Guard:
    """Check every output while it is made, and act on what looks memorized.

        with eq.guard(pipeline, calibration, action="resample") as checked:
            result = checked("a portrait")

    Args:
        target: A live pipeline of diffusers of a known family, which is then called as itself; or
            "zoo:NAME", a file or a denoiser, which is called `checked(item_ids, seed=...)`.
        calibration: From `calibrate_guard`, fitted on generations of this target.
        action: "flag", "resample", "block", or a function of the flagged item that returns the
            image to give instead.
        attempts: New seeds an output that "resample" tries.
        log: Parquet file of what was flagged, with seed and prompt.

    Raises:
        CalibrationError: when the calibration is of another model or of finished pictures.
        BadInputError: for a target or an action that is not known.
    """
    place = None if log is None else Path(log)
    return Guard(_open_source(target), calibration, action=action, attempts=attempts, log=place)


def calibrate_guard(
    target: object,
    detector: CalibratedDetector | Calibration | Spikiness,
    calls: Iterable[Mapping[str, Any]],
    *,
    mode: Mode = "free",
    fpr: float = 0.01,
    null: Null = "own outputs",
    sigmas: Sequence[float] | None = None,
) -> Calibration:
    """Set the threshold of a guard from generations that are not memorized.

    Copies among them only make it conservative.

    Args:
        target: As `guard` takes it.
        detector: Sites, pooling, statistic and sign, which are taken over.
        calls: Arguments of the target's calls by name, such as `{"prompt": ..., "generator":
            ...}` or `{"item_ids": ..., "seed": ...}`; half of the outputs measure the scale
            of the units (400 of them are few), the rest sets the threshold: at least 1/fpr - 1.
        mode: "free" reads the sampler's own forwards, "check" looks once at the final sample,
            "early" can stop a generation before its end.
        fpr: Promised false-positive rate.
        null: What the outputs are; recorded.
        sigmas: Noise levels that are read in modes "free" and "early".

    Raises:
        CalibrationError: when the rate is finer than the outputs can promise.
    """
    source = _open_source(target)
    calibration = detector.calibration if isinstance(detector, CalibratedDetector) else detector
    chosen = calibration if isinstance(calibration, Spikiness) else calibration.detector
    evidence = collect_evidence(source, calls, chosen, mode=mode)
    return fit_guard(
        source.denoiser, evidence, chosen, mode=mode, fpr=fpr, null=null, sigmas=sigmas
    )


def monitor(
    loop: Iterable[_State],
    model: Denoiser | Callable[[_State], Denoiser],
    *,
    training: UInt8[Tensor, "case channel height width"] | None = None,
    held_out: UInt8[Tensor, "other channel height width"],
    every: int,
    checks: int = 50,
    false_stops: float = 0.05,
    fdr: float = 0.05,
    probe: int = 200,
    budget: float | None = None,
    seed: int = 0,
    detector: Spikiness | None = None,
    count_copies: Callable[[Denoiser], float] | None = None,
    keep: Callable[[int, _State], None] | None = None,
    start: int = 0,
    generate: Callable[[Denoiser], UInt8[Tensor, "case channel height width"]] | None = None,
    out: str | Path | None = None,
) -> WatchedLoop[_State]:
    """Watch a training: which images it begins to memorize, and when to stop.

        watched = eq.monitor(loop, model, training=images, held_out=others, every=500)
        for step, state in watched:
            if watched.stop:
                break

    Args:
        loop: What trains; yields something after every step.
        model: The denoiser whose network the loop changes in place (best the averaged weights),
            or a function from what the loop yields to the denoiser.
        training: Training images, 8 bits; some of them are looked at. Or give `generate`.
        held_out: Images like them that the model never sees, 8 bits; all are looked at.
        every: Steps between two checks, at least.
        checks: Most checks that are made.
        false_stops: Chance of ever stopping a training that treats its images as held-out ones.
        fdr: Expected share of false names among the named images.
        probe: Training images that are looked at, chosen by chance.
        budget: Largest share of the time that checks may take, such as 0.02; None: no limit.
        seed: Seed that chooses the probe and draws the relabellings.
        detector: Where and how to look; default the paper's statistic at all default sites.
        count_copies: Gives the share of copies among fresh outputs of the denoiser.
        keep: Called with step and state at each check up to the alarm, to keep a checkpoint.
        start: Steps that the loop has behind it; the checks that `out` holds up to there count.
        generate: Where nobody has the training images: gives fresh outputs of the denoiser, 8
            bits, which are held against `held_out` instead. Draws curves, stops nothing.
        out: Run folder with one row an image and check; None writes none.

    Raises:
        BadInputError: when a number is out of its range, or fewer than 20 images are on a side.
        RunError: when the folder holds a run already and `start` is 0, or another run.
    """
    spec = MonitorSpec(every, checks, false_stops, fdr, probe, budget, seed)
    folder = None if out is None else Path(out)
    watch = Monitor(training, held_out, spec, detector, count_copies, folder, generate)
    return WatchedLoop(loop, model, watch, keep, start)


def _open_source(target: object) -> Source:
    if isinstance(target, (str, Path, Subject, Denoiser)):
        return SamplerSource(_as_subject(target))
    return PipelineSource(target)


def _as_subject(model: object) -> Subject:
    """Say how outputs of a model are drawn; a zoo model's as its recipe says."""
    if isinstance(model, Subject):
        return model
    if isinstance(model, (str, Path)):
        return open_subject(str(model))
    denoiser = load(model)
    return Subject("given", denoiser, build_sampler(denoiser), lambda *_: None, None)


def _gather(
    subject: Subject, source: References | Sequence[str], *, seed: int
) -> tuple[Float[Tensor, "case ..."], Sequence[str] | None]:
    """Return references and what each was asked for, if the model had to draw them."""
    if isinstance(source, Tensor | str | Path):
        return read_references(source, subject.denoiser.image_shape), None
    sampler = follow_prompts(subject).sampler
    return draw_references(subject.denoiser, source, sampler=sampler, seed=seed), source
